"""The words of a command line: dashes and underscores, shipped files, the folder of the run, options inside lists."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from wavelight.config.experiments import find_experiment

_TRUTHS = ("true", "false", "yes", "no", "on", "off")


def underscored(words: Sequence[str]) -> list[str]:
    """Write options with underscores, whichever way they were typed.

    >>> underscored(["--data.batch-size", "4", "--held-out=3", "-h", "a-b"])
    ['--data.batch_size', '4', '--held_out=3', '-h', 'a-b']
    """
    return [_underscored(word) if word.startswith("--") else word for word in words]


def _underscored(word: str) -> str:
    option, equals, value = word.partition("=")
    return "--" + option[2:].replace("-", "_") + equals + value


def with_truths(words: Sequence[str], options: set[str]) -> list[str]:
    """Let options that are false by themselves stand for true where no value follows.

    >>> with_truths(["--npz", "--out", "x", "--npz", "false"], {"--npz"})
    ['--npz=true', '--out', 'x', '--npz', 'false']
    """
    following = [*words[1:], ""]
    return [
        f"{word}=true" if word in options and after.lower() not in _TRUTHS else word
        for word, after in zip(words, following, strict=True)
    ]


def value_of(words: Sequence[str], option: str) -> str | None:
    """Return the value that an option has at last, None where it is not there.

    >>> value_of(["--ckpt_path", "a.ckpt", "--ckpt_path=b.ckpt"], "--ckpt_path")
    'b.ckpt'
    """
    value = None
    for word, following in pairwise([*words, ""]):
        name, equals, inside = word.partition("=")
        if name == option:
            value = inside if equals else following
    return value


def with_found_files(words: Sequence[str]) -> list[str]:
    """Replace paths of files that are not there by those of the files that ship.

    For example ``--config experiments/demo.yaml`` and ``--model.details=experiments/models/flow.yaml``.
    """
    found = []
    for word in words:
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        found.append(option + equals + find_experiment(value))
    return found


def run_folder(words: Sequence[str], trial: str | None = None) -> str:
    """Return the folder of a run whose configuration names none: ``runs/`` and the name of the first file.

    >>> run_folder(["--config", "experiments/church.yaml", "--config=more.yaml"])
    'runs/church'
    >>> run_folder(["--config", "experiments/church.yaml"], trial="x7k2")
    'runs/church/x7k2'

    Args:
        words: The words of the command line.
        trial: What tells the run from others of the same file, if anything.
    """
    folder = Path("runs", _name_of_first_file(words), trial or "")
    return folder.as_posix()


def _name_of_first_file(words: Sequence[str]) -> str:
    for i, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option == "--config":
            return Path(value if equals else next(iter(words[i + 1 :]), "")).stem
    return "unnamed"


def options_inside_lists(
    words: Sequence[str], config: Mapping[str, Any]
) -> Iterator[tuple[str, str, int]]:
    """Find options that would change one entry of several in a list, the last, in silence.

    Args:
        words: The words of the command line.
        config: The configuration that they parse to.

    Yields:
        The option, the list inside of which it points, and its length.
    """
    for word in words:
        if not word.startswith("--"):
            continue
        option = word[2:].partition("=")[0]
        value: Any = config
        passed: list[str] = []
        for key in option.split("."):
            if isinstance(value, list) and len(value) == 1:
                (value,) = value
            elif isinstance(value, list):
                yield option, ".".join(passed), len(value)
                break
            value = _inside(value, key)
            passed.append(key)


def _inside(value: Any, key: str) -> Any:
    if not isinstance(value, Mapping):
        return None
    if key not in value and isinstance(value.get("init_args"), Mapping):
        return value["init_args"].get(key)
    return value.get(key)
