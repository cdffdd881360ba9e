"""YAML that somebody else may have written, a few lines of which can stand for more than memory holds."""

from pathlib import Path
from typing import Any

import yaml

_MOST_CHARACTERS = 1_000_000
_MOST_VALUES = 100_000
_MOST_LEVELS = 64
"""More than any configuration has."""

_DESCRIPTORS = Path("/dev/fd")


def read(path: Path) -> Any:
    """Return the content of a YAML file.

    Args:
        path: The file, or a pipe that a shell has opened, as for ``--config <(command)``.

    Raises:
        ValueError: If it is no YAML or has no bounds, with the place of the fault; nor are named pipes read, which
            wait for a writer.
    """
    if path.is_fifo() and path.parent != _DESCRIPTORS:
        raise ValueError(f"{path} must be a file, got a named pipe")
    try:
        with path.open() as file:
            return load(file.read(_MOST_CHARACTERS + 1))
    except ValueError as error:
        raise ValueError(f"{path} must be YAML: {error}") from error


def load(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Return the content of YAML.

    Args:
        text: The YAML.
        loader: What reads it.

    Raises:
        ValueError: If it is no YAML, with the place of the fault, or too long, too deep or without end.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"it has more than {_MOST_CHARACTERS:,} characters")
    try:
        reader = loader(text)
        node = reader.get_single_node()
        _check_bounds(node)
        return None if node is None else reader.construct_document(node)
    except yaml.YAMLError as error:
        where = " ".join(str(error).split()).replace('in "<unicode string>", line', "in line")
        raise ValueError(where) from error
    except RecursionError as error:
        raise ValueError(f"it has more than {_MOST_LEVELS} levels") from error
    # What its constructors raise of dates that do not exist, of numbers that are none, or have too many digits.
    except (ValueError, OverflowError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(str(error)) from error


def _check_bounds(node: yaml.Node | None) -> None:
    """Count what nodes stand for before anything is built of them: those that are named again count again."""
    waiting = [] if node is None else [(node, 0)]
    values = 0
    while waiting:
        here, level = waiting.pop()
        values += 1
        if level > _MOST_LEVELS:
            raise ValueError(f"it has more than {_MOST_LEVELS} levels, or a value contains itself")
        if values > _MOST_VALUES:
            raise ValueError(f"it stands for more than {_MOST_VALUES:,} values")
        if isinstance(here, yaml.SequenceNode):
            waiting += [(each, level + 1) for each in here.value]
        elif isinstance(here, yaml.MappingNode):
            waiting += [(each, level + 1) for pair in here.value for each in pair]
