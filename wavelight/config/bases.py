"""Bases: the files that a configuration file builds on, which it names itself.

A file may begin with ``base: [parts/church.yaml, parts/wavediff.yaml]``, relative to its own folder. It is read as if
the bases had been named before it by options ``--config``: later ones win, and the file itself wins over all. The
``config:`` key of jsonargparse is no substitute: it loads a file without the values before it, so that options deep
inside a class are refused.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from wavelight.config.bounded_yaml import load, read
from wavelight.config.experiments import find_experiment

_KEY = "base"
_OPTION = "--config"
_MOST_FILES = 100


def with_bases(words: Sequence[str]) -> list[str]:
    """Insert the bases of each file of ``--config`` before it.

    Args:
        words: The words of the command line: ``--config x.yaml`` or ``--config=x.yaml``, and others, which stay.

    Returns:
        The words, in which files that name bases have become their text.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is no YAML of options, or a base is missing, builds on itself, or is not named as a file
            or a list of files.
    """
    found: list[str] = []
    waiting = iter(words)
    for word in waiting:
        option, equals, value = word.partition("=")
        if option != _OPTION:
            _check_file(Path(value or word))
            found.append(word)
            continue
        value = value if equals else next(waiting, "")
        for part in chain(Path(find_experiment(value))):
            found += [_OPTION, part]
    return found


def chain(path: Path) -> list[str]:
    """Return the bases of a file, then the file itself, in the order in which they are read.

    Args:
        path: The file.

    Returns:
        Paths of files that name no base, and the texts, without ``base``, of those that do.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file is no YAML of options, or a base is missing, builds on itself, or is not named as a file
            or a list of files.
    """
    parts = list(islice(_parts(path), _MOST_FILES + 1))
    if len(parts) > _MOST_FILES:
        raise ValueError(f"base of {path} must lead to at most {_MOST_FILES} files, got more")
    return parts


def content_of(part: str) -> dict[str, Any]:
    """Return the options of a part that :func:`chain` gave, by name."""
    # A text ends with the end of a line, which no path has.
    found = load(part) if "\n" in part else read(Path(part))
    return dict(found)


def _parts(path: Path, above: tuple[Path, ...] = ()) -> Iterator[str]:
    if not (path.is_file() or path.is_fifo()):
        raise FileNotFoundError(f"{_OPTION} must name a YAML file, got {path}, which is none")
    here = path.resolve()
    if here in above:
        raise ValueError(f"base of {above[-1]} must not lead back to the file itself, got {path}")
    content = read(path)
    if not isinstance(content, dict):
        given = "nothing" if content is None else f"a {type(content).__name__}"
        raise ValueError(f"{path} must hold options by name, such as `trainer:`, got {given}")
    if _KEY not in content:
        # What comes through a pipe can be read once.
        yield str(path) if path.is_file() else yaml.safe_dump(content, sort_keys=False)
        return
    for base in _named(content.pop(_KEY), path):
        if not base.is_file():
            raise ValueError(
                f"base of {path} must name files beside it, got {base}, which is missing"
            )
        yield from _parts(base, (*above, here))
    if content:
        yield yaml.safe_dump(content, sort_keys=False)


def _check_file(path: Path) -> None:
    """Refuse a file in the place of a value that the parser would not come to an end with."""
    if path.suffix in (".yaml", ".yml") and path.is_file():
        read(path)


def _named(base: Any, path: Path) -> list[Path]:
    names = [base] if isinstance(base, str) else base
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"base of {path} must be a file or a list of files, got {base!r}")
    return [path.parent / name for name in names]
