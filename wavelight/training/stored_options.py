"""The options that a checkpoint was trained with, for commands that measure it or sample from it without a YAML."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from wavelight.checkpoints.configuration import TRUST, stored_config, stored_model
from wavelight.checkpoints.run_files import FOLDER
from wavelight.config.bases import content_of
from wavelight.config.words import value_of
from wavelight.training.known_options import check_options

TRUST_CODE = "--trust_code"
"""The option by which a checkpoint's configuration may name any class."""

_CHECKPOINT = "--ckpt_path"
_WORDS = ("last", "best")
"""Checkpoints of the run's folder, whose configuration is that of the folder."""

_SECTIONS = ("seed_everything", "model", "data", "ema", "evaluation", "acceleration", "published")
_OF_TRAINER = ("precision", "logger")
"""Devices are those of the machine that measures."""

_LINKED = {"model": ("seed", "image_size", "channels"), "data": ("seed",)}
"""Options that follow others, which may be given beside the checkpoint."""

_OF_THE_RUN = ("id", "save_dir")
"""Options of a logger that say where it wrote then."""


def named_checkpoint(words: Sequence[str]) -> Path | None:
    """Return the file that ``--ckpt_path`` names; None where it names none, or one of the run's folder by a word.

    Args:
        words: The words of the command line.
    """
    named = value_of(words, _CHECKPOINT)
    return None if named in (None, *_WORDS) else Path(named)


def folder_of_run(checkpoint: Path) -> Path:
    """Return the folder of the run that wrote a checkpoint, or one of the file's name where it lies in no run's.

    >>> folder_of_run(Path("runs/church/checkpoints/best.ckpt")), folder_of_run(Path("church.ckpt"))
    (PosixPath('runs/church'), PosixPath('runs/church'))

    Args:
        checkpoint: The file.
    """
    if checkpoint.parent.name == FOLDER:
        return checkpoint.parent.parent
    return Path("runs", checkpoint.stem)


def name_a_model(words: Sequence[str]) -> bool:
    """Return whether a file of ``--config`` has a model, and so is a configuration of its own.

    Args:
        words: The words of the command line, with the bases of their files.
    """
    return any(
        "model" in content_of(part) for option, part in pairwise(words) if option == "--config"
    )


def stored_options(path: Path, trust_code: bool) -> str:
    """Return those options of a checkpoint's training that decide what it measures and samples, as YAML.

    Args:
        path: The checkpoint.
        trust_code: Whether they may name any class.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, holds no configuration, or names a class from elsewhere, in one sentence;
            nothing of it was imported.
    """
    config = stored_config(path)
    if not config:
        raise ValueError(
            f"{path} holds no configuration, unlike a checkpoint written by `wavelight fit`: name its experiment with "
            "--config"
        )
    stored_model(config, path)
    taken = {name: deepcopy(config[name]) for name in _SECTIONS if name in config}
    taken["trainer"] = _of_trainer(config.get("trainer"))
    if not trust_code:
        check_options(taken, str(path), TRUST)
    for section, names in _LINKED.items():
        _drop(taken.get(section), names)
    return yaml.safe_dump(taken, sort_keys=False)


def _of_trainer(trainer: Any) -> dict[str, Any]:
    if not isinstance(trainer, Mapping):
        return {}
    taken = {name: deepcopy(trainer[name]) for name in _OF_TRAINER if name in trainer}
    loggers = taken.get("logger")
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        _drop(logger, _OF_THE_RUN)
    return taken


def _drop(section: Any, names: Sequence[str]) -> None:
    """Leave options of a class or a section out."""
    if not isinstance(section, dict):
        return
    options = section.get("init_args", section)
    for name in names if isinstance(options, dict) else ():
        options.pop(name, None)
