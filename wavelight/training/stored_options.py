"""The options that a checkpoint was trained with, for commands that measure it or sample from it without a YAML."""

import hashlib
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
_OUR_LOGGERS = "wavelight.loggers."
"""Those of others take options that name servers and folders, to which a stranger could send what is logged."""

_OF_LOGGER = ("project", "group", "tags", "offline")

_LEFT_OUT = {"model": ("seed", "image_size", "channels"), "data": ("seed", "cache_dir")}
"""Options that follow others, which may be given beside the checkpoint, and a folder of another machine."""


def named_checkpoint(words: Sequence[str]) -> Path | None:
    """Return the file that ``--ckpt_path`` names; None where it names none, or one of the run's folder by a word.

    Args:
        words: The words of the command line.
    """
    named = value_of(words, _CHECKPOINT)
    return None if named is None or named in ("", *_WORDS) else Path(named)


def folder_of_run(checkpoint: Path) -> Path:
    """Return the folder of the run that wrote a checkpoint, or one of its own where the file lies in no run's.

    >>> folder_of_run(Path("runs/church/checkpoints/best.ckpt")), folder_of_run(Path("/a/church.ckpt"))
    (PosixPath('runs/church'), PosixPath('runs/church-0744cf'))

    Args:
        checkpoint: The file.
    """
    if checkpoint.parent.name == FOLDER:
        return checkpoint.parent.parent
    # Of its path, for another run may be called so.
    digest = hashlib.sha256(str(checkpoint.absolute()).encode()).hexdigest()[:6]
    return Path("runs", f"{checkpoint.stem}-{digest}")


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
    trainer = config.get("trainer")
    trainer = trainer if isinstance(trainer, Mapping) else {}
    taken["trainer"] = _of_trainer(trainer)
    if not trust_code:
        # Of all loggers, though not all are taken.
        check_options(taken | {"trainer": trainer.get("logger")}, str(path), TRUST)
    for section, names in _LEFT_OUT.items():
        _drop(taken.get(section), names)
    return yaml.safe_dump(taken, sort_keys=False)


def _of_trainer(trainer: Mapping[str, Any]) -> dict[str, Any]:
    # Devices are those of the machine that measures.
    taken = {"precision": trainer["precision"]} if "precision" in trainer else {}
    loggers = trainer.get("logger")
    ours = (
        [_logger(each) for each in loggers if _is_ours(each)] if isinstance(loggers, list) else []
    )
    return taken | ({"logger": ours} if ours else {})


def _is_ours(logger: Any) -> bool:
    return isinstance(logger, Mapping) and str(logger.get("class_path")).startswith(_OUR_LOGGERS)


def _logger(logger: Mapping[str, Any]) -> dict[str, Any]:
    """Return a logger of a stored configuration without what says where it wrote then."""
    options = logger.get("init_args")
    options = options if isinstance(options, Mapping) else {}
    kept = {name: options[name] for name in _OF_LOGGER if name in options}
    return {"class_path": logger["class_path"], "init_args": kept}


def _drop(section: Any, names: Sequence[str]) -> None:
    """Leave options of a class or a section out."""
    if not isinstance(section, dict):
        return
    options = section.get("init_args", section)
    for name in names if isinstance(options, dict) else ():
        options.pop(name, None)
