"""Differences between two configurations."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """An option whose values differ between two configurations."""

    option: str
    first: Any
    """Its value; None also where it is missing."""
    second: Any

    def __str__(self) -> str:
        return f"{self.option} is {self.first} in the first and {self.second} in the second"


def first_difference(
    one: Any, other: Any, name: str, matters: Callable[[str], bool] = lambda option: True
) -> Difference | None:
    """Return the first option that differs, or None.

    Args:
        one: A section of a resolved configuration.
        other: The same section of another.
        name: The name of the section.
        matters: Returns whether an option counts, by its full name.
    """
    first, second = (dict(named_options(section, name)) for section in (one, other))
    for option in [*first, *second]:
        # Told apart from a value of None.
        alike = option in first and option in second and first[option] == second[option]
        if matters(option) and not alike:
            return Difference(option, first.get(option), second.get(option))
    return None


def named_options(section: Any, name: str) -> Iterator[tuple[str, Any]]:
    """List the options of a section of a configuration under their full names, in which ``init_args`` is no part.

    Args:
        section: As YAML has it.
        name: The name of the section.
    """
    named: Iterable[tuple[Any, Any]]
    if isinstance(section, Mapping) and section:
        named = section.items()
    elif isinstance(section, list) and section:
        named = enumerate(section)
    else:
        yield name, section
        return
    for key, value in named:
        yield from named_options(value, name if key == "init_args" else f"{name}.{key}")
