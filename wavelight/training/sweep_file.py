"""A sweep: its file, and the runs that it asks for."""

import json
import re
from contextlib import redirect_stderr
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from typing_extensions import override

from wavelight.callbacks.checkpointing import FOLDER
from wavelight.checkpoints.loading import config_text, system_from_config
from wavelight.config.experiments import find_experiment
from wavelight.config.seeds import difference_but_seed
from wavelight.support.errors import in_words
from wavelight.systems.base import PROGRESS_KEY
from wavelight.training.cli import CLI
from wavelight.weights import read_checkpoint

COMPARISON = "compare.json"
_LOG = "log.txt"


_NAME = re.compile(r"\w[\w.+-]*")


_OWN = ("seed_everything", "trainer.default_root_dir", "ckpt_path")
"""Options of ``fit`` that a sweep gives itself."""


class SweepFile:
    """What a file of a sweep says.

    Args:
        folder: Where the runs lie, ``folder/variant/seed-1``, and their comparison.
        seeds: Each variant is trained once with each.
        variants: By name, the options of ``fit`` in which each differs from the others; {} for none.
            A value that is no word, such as a list of models, may stand as YAML.
        base: The options of ``fit`` that all share, such as ``config: experiments/demo.yaml``; a
            variant may have others of the same name.
        compare: Options of ``compare``, such as ``images: 2048``. ``out``, which is compare.json if
            left out, and ``plot`` lie in the folder.

    Raises:
        ValueError: If there is no seed or variant, or one that cannot be.
    """

    def __init__(
        self,
        folder: Path,
        seeds: list[int],
        variants: dict[str, dict[str, Any]],
        base: dict[str, Any] | None = None,
        compare: dict[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.seeds = seeds
        self.variants = {name: {**(base or {}), **options} for name, options in variants.items()}
        self.compare = {"out": COMPARISON, **(compare or {})}
        if not self.variants:
            raise ValueError("variants names none")
        for name, options in self.variants.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"a variant names a folder, which {name!r} cannot be")
            given = sorted(options.keys() & set(_OWN))
            if given:
                raise ValueError(f"variant {name}: {given[0]} is given by the sweep itself")


class SweepRun(NamedTuple):
    """A training of a variant with a seed."""

    variant: str
    seed: int
    folder: Path
    words: list[str]
    """Of its command line, behind ``fit``."""

    config: dict[str, Any]
    """All options that come of them, but for another seed and folder."""

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"

    @property
    def checkpoint(self) -> Path:
        """The newest."""
        return self.folder / FOLDER / "last.ckpt"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / _LOG

    @property
    def finished(self) -> bool:
        """Whether its checkpoint has seen as many batches as are wanted."""
        if not self.checkpoint.exists():
            return False
        trainer = self.config["trainer"]
        seen = read_checkpoint(self.checkpoint, mapped=True)[PROGRESS_KEY]["batches_seen"]
        return seen >= trainer["max_epochs"] * trainer["limit_train_batches"]

    @property
    def command(self) -> list[str]:
        """The command line, without the interpreter."""
        return ["-m", "wavelight", "fit", *self.words]


# --- what is to run ---


def read_sweep(path: Path) -> SweepFile:
    """Read a file of a sweep.

    Args:
        path: The file, or the name of one that ships, such as
            ``experiments/sweeps/cifar10_small_hybrid.yaml``.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is none of a sweep.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(SweepFile, "sweep")
    try:
        given = yaml.safe_load(Path(find_experiment(str(path))).read_text())
        # For its types alone: it puts objects in the place of classes that options name.
        parser.parse_object({"sweep": deepcopy(given)})
        return SweepFile(**given)
    except (ArgumentError, ValueError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is no sweep: {in_words(str(error))}") from error


def runs_of(file: SweepFile, seeds: list[int]) -> list[SweepRun]:
    """Return the runs of a sweep, seed by seed, whose options are checked and whose systems can be built.

    All variants have their first seed before any has its second, so that one can look early.

    Args:
        file: The sweep.
        seeds: In place of those of the file.

    Raises:
        ValueError: If a seed is given twice, or if ``fit`` would refuse a variant's options.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds are different numbers, at least one, not {seeds}")
    configs = {name: _checked(name, _words(file, name, seeds[0])) for name in file.variants}
    return [
        SweepRun(name, seed, _folder(file, name, seed), _words(file, name, seed), configs[name])
        for seed in seeds
        for name in file.variants
    ]


def _folder(file: SweepFile, variant: str, seed: int) -> Path:
    return file.folder / variant / f"seed-{seed}"


def _words(file: SweepFile, variant: str, seed: int) -> list[str]:
    # Files come first, for what stands behind them beats them.
    options = sorted(file.variants[variant].items(), key=lambda option: option[0] != "config")
    own = (seed, str(_folder(file, variant, seed)), "last")
    options += zip(_OWN, own, strict=True)
    return [word for name, value in options for word in (f"--{name}", _word(value))]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class _Options(CLI):
    """Reads the options of a command as it does itself, and builds nothing."""

    text = ""

    @override
    def _set_seed(self) -> None:
        pass

    @override
    def instantiate_classes(self) -> None:
        pass

    @override
    def after_instantiate_classes(self) -> None:
        self.text = self.parser.dump(self.config, skip_link_targets=False, skip_unset=False)


def _checked(variant: str, words: list[str]) -> dict[str, Any]:
    """Return the resolved configuration of a run, whose system was built once, without memory for its weights."""
    said = StringIO()
    try:
        # The parser says what is wrong and leaves.
        with redirect_stderr(said):
            text = _Options("fit", words).text
        with torch.device("meta"):
            system_from_config(text)
    except SystemExit as stopped:
        reason = said.getvalue().strip().removeprefix("wavelight: ")
        raise ValueError(f"variant {variant}: {reason}") from stopped
    except ValueError as error:
        raise ValueError(f"variant {variant}: {in_words(str(error))}") from error
    config: dict[str, Any] = yaml.safe_load(text)
    length = config["trainer"]["max_epochs"], config["trainer"]["limit_train_batches"]
    # Lightning's types let a parser read 200 batches as 200.0, but a share of an epoch is at most 1.0.
    if not all(number is not None and number > 0 and _is_count(number) for number in length):
        raise ValueError(
            f"variant {variant}: trainer.max_epochs and limit_train_batches must be numbers, which tell when a run is "
            f"finished, not {length[0]} and {length[1]}"
        )
    return config


def _is_count(number: float) -> bool:
    return isinstance(number, int) or (number > 1 and number.is_integer())


def check_folder(runs: list[SweepRun]) -> None:
    """Refuse to go on with a run that has begun with other options."""
    for run in runs:
        if run.checkpoint.exists():
            difference = difference_but_seed(
                yaml.safe_load(config_text(run.checkpoint)), run.config
            )
            if difference is not None:
                option, before, now = difference
                raise ValueError(
                    f"{run.folder} was trained with {option} {before}, which is {now} now: name another folder, or "
                    "remove this one"
                )
