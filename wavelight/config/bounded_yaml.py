"""YAML that somebody else may have written, a few lines of which can stand for more than memory holds."""

from collections.abc import Iterator
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
    except (ValueError, UnicodeDecodeError) as error:
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
        content = yaml.load(text, loader)
    except yaml.YAMLError as error:
        where = " ".join(str(error).split()).replace('in "<unicode string>", line', "in line")
        raise ValueError(where) from error
    except RecursionError as error:
        raise ValueError(f"it has more than {_MOST_LEVELS} levels") from error
    # Of dates that do not exist, and numbers of more digits than Python reads.
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueError(str(error)) from error
    for number, level in enumerate(_levels(content)):
        if level > _MOST_LEVELS:
            raise ValueError(f"it has more than {_MOST_LEVELS} levels, or a value contains itself")
        if number > _MOST_VALUES:
            raise ValueError(f"it stands for more than {_MOST_VALUES:,} values")
    return content


def _levels(content: Any) -> Iterator[int]:
    """Yield how deep each value lies, deeper ones of a value before the next."""
    waiting = [(content, 0)]
    while waiting:
        value, level = waiting.pop()
        yield level
        inside = value.values() if isinstance(value, dict) else value
        if isinstance(inside, str | bytes) or not hasattr(inside, "__iter__"):
            continue
        waiting += [(each, level + 1) for each in inside]
