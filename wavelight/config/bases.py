"""Bases: the files that a configuration file builds on, which it names itself.

A file may begin with ``base: [parts/church.yaml, parts/wavediff.yaml]``, relative to its own folder. It is read as if
the bases had been named before it by options ``--config``: later ones win, and the file itself wins over all. The
``config:`` key of jsonargparse is no substitute: it loads a file without the values before it, so that options deep
inside a class are refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from wavelight.config.experiments import find_experiment

_KEY = "base"
_OPTION = "--config"


def with_bases(words: Sequence[str]) -> list[str]:
    """Insert the bases of each file of ``--config`` before it.

    Args:
        words: The words of the command line: ``--config x.yaml`` or ``--config=x.yaml``, and others, which stay.

    Returns:
        The words, in which files that name bases have become their text.

    Raises:
        ValueError: If a base is missing, builds on itself, or is not named as a file or a list of files.
    """
    found: list[str] = []
    waiting = iter(words)
    for word in waiting:
        option, equals, value = word.partition("=")
        if option != _OPTION:
            found.append(word)
            continue
        value = value if equals else next(waiting, "")
        for part in chain(Path(find_experiment(value))):
            found += [_OPTION, part]
    return found


def chain(path: Path, above: tuple[Path, ...] = ()) -> list[str]:
    """Return the bases of a file, then the file itself, in the order in which they are read.

    Args:
        path: The file; one that does not exist is left to whoever reads it.
        above: The files that build on it.

    Returns:
        Paths of files that name no base, and the texts, without ``base``, of those that do.

    Raises:
        ValueError: If a base is missing, builds on itself, or is not named as a file or a list of files.
    """
    if not path.is_file():
        return [str(path)]
    here = path.resolve()
    if here in above:
        raise ValueError(f"base of {above[-1]} must not lead back to the file itself, got {path}")
    content = read(path)
    if not isinstance(content, dict) or _KEY not in content:
        return [str(path)]
    parts: list[str] = []
    for base in _named(content.pop(_KEY), path):
        if not base.is_file():
            raise ValueError(
                f"base of {path} must name files beside it, got {base}, which is missing"
            )
        parts += chain(base, (*above, here))
    return [*parts, yaml.safe_dump(content, sort_keys=False)] if content else parts


def read(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        ValueError: If it is no YAML, with the place of the fault.
    """
    try:
        return yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise ValueError(f"{path} must be YAML: {where}") from error


def _named(base: Any, path: Path) -> list[Path]:
    names = [base] if isinstance(base, str) else base
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"base of {path} must be a file or a list of files, got {base!r}")
    return [path.parent / name for name in names]
