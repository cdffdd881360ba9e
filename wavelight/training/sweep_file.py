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

from wavelight.checkpoints.configuration import TRUST, stored_config
from wavelight.checkpoints.loading import system_from_config
from wavelight.checkpoints.run_files import FOLDER, LAST
from wavelight.config.bounded_yaml import read
from wavelight.config.experiments import find_experiment
from wavelight.config.known_classes import refusal_of_import
from wavelight.config.seeds import difference_but_seed
from wavelight.support.errors import in_words
from wavelight.systems.base import PROGRESS_KEY
from wavelight.training.cli import CLI
from wavelight.training.known_options import check_options, known_imports
from wavelight.weights import read_checkpoint

COMPARISON = "compare.json"
_LOG = "log.txt"


_NAME = re.compile(r"\w[\w.+-]*")


_OWN = ("seed_everything", "trainer.default_root_dir", "ckpt_path")
"""Options of ``fit`` that a sweep sets itself."""


class SweepFile:
    """The content of a sweep's file.

    Args:
        folder: Folder of the runs, ``folder/variant/seed-1``, and of their comparison.
        seeds: Each variant is trained once with each.
        variants: By name, the options of ``fit`` in which each differs from the others; {} for none.
            A value that is no text, such as a list of models, may be YAML.
        base: The options of ``fit`` that all share, such as ``config: experiments/demo.yaml``; a
            variant may have others of the same name.
        compare: Options of ``compare``, such as ``images: 2048``. ``out``, which is compare.json if
            left out, and ``plot`` lie in the folder.

    Raises:
        ValueError: If there is no variant, or one with a name or an option that it cannot have.
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
            raise ValueError("variants must name at least one variant, got none")
        for name, options in self.variants.items():
            if not _NAME.fullmatch(name):
                raise ValueError(
                    "the name of a variant, which names a folder, must be made of letters, digits and any of _.+-, "
                    f"got {name!r}"
                )
            given = sorted(options.keys() & set(_OWN))
            if given:
                raise ValueError(
                    f"variant {name} must not set {given[0]}, which the sweep sets for each run: remove it"
                )


class SweepRun(NamedTuple):
    """One training run of a sweep: a variant with a seed."""

    variant: str
    seed: int
    folder: Path
    words: list[str]
    """The words of its command line behind ``fit``."""

    config: dict[str, Any]
    """The resolved configuration of its variant, with the seed and the folder of the variant's first run."""

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"

    @property
    def checkpoint(self) -> Path:
        """Its last checkpoint, from which it continues."""
        return self.folder / FOLDER / LAST

    @property
    def log(self) -> Path:
        """The file with all that it prints."""
        return self.folder / _LOG

    @property
    def finished(self) -> bool:
        """Whether its checkpoint has seen all batches of its epochs."""
        if not self.checkpoint.exists():
            return False
        trainer = self.config["trainer"]
        seen = read_checkpoint(self.checkpoint, mapped=True)[PROGRESS_KEY]["batches_seen"]
        return seen >= trainer["max_epochs"] * trainer["limit_train_batches"]

    @property
    def command(self) -> list[str]:
        """The command line, without the interpreter."""
        return ["-m", "wavelight", "fit", *self.words]


# --- the runs ---


def read_sweep(
    path: Path,
    trust_code: bool = False,
    folder: Path | None = None,
    options: dict[str, Any] | None = None,
) -> SweepFile:
    """Read a file of a sweep.

    Args:
        path: The file, or the name of one that ships, such as
            ``experiments/sweeps/cifar10_small_hybrid.yaml``.
        trust_code: Whether it may name any class.
        folder: A folder in place of the file's.
        options: Options of ``fit`` that join the file's ``base``, and replace those of the same name.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it does not describe a sweep, or names a class from elsewhere.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(SweepFile, "sweep")
    try:
        given = read(Path(find_experiment(str(path))))
        if isinstance(given, dict):
            given |= {} if folder is None else {"folder": str(folder)}
            given |= {"base": {**(given.get("base") or {}), **options}} if options else {}
        if not trust_code and isinstance(given, dict):
            check_options(given, str(path), TRUST)
        # For its types alone: it puts objects in the place of classes that options name.
        with known_imports(trust_code):
            parser.parse_object({"sweep": deepcopy(given)})
        return SweepFile(**given)
    except (ArgumentError, ValueError, TypeError) as error:
        raise ValueError(f"{path} must describe a sweep: {in_words(str(error))}") from error


def runs_of(
    file: SweepFile, seeds: list[int], trust_code: bool = False, variants: list[str] | None = None
) -> list[SweepRun]:
    """Return the runs of a sweep, seed by seed, whose options are checked and whose systems can be built.

    All variants run with the first seed before any runs with the second, so that they can be compared early.

    Args:
        file: The sweep.
        seeds: The seeds, which replace those of the file.
        trust_code: Whether the options, and files that they name, may name any class.
        variants: The names of those that run; by default all do.

    Raises:
        ValueError: If a seed is given twice, if a variant is given twice or is not in the file, or if ``fit`` would
            refuse a variant's options.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be different numbers, at least one, got {seeds}")
    names = list(file.variants) if variants is None else variants
    if not names or len(set(names)) < len(names) or not set(names) <= file.variants.keys():
        raise ValueError(
            f"variants must be different ones of {', '.join(file.variants)}, at least one, got {names}"
        )
    configs = {name: _checked(name, _words(file, name, seeds[0]), trust_code) for name in names}
    return [
        SweepRun(name, seed, _folder(file, name, seed), _words(file, name, seed), configs[name])
        for seed in seeds
        for name in names
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
    """Reads the options of a command as :class:`CLI` does, and builds nothing."""

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


def _checked(variant: str, words: list[str], trust_code: bool) -> dict[str, Any]:
    """Return the resolved configuration of a run, whose system was built once, without memory for its weights."""
    said = StringIO()
    try:
        # The parser says what is wrong and leaves.
        with redirect_stderr(said), known_imports(trust_code):
            text = _Options("fit", words).text
        if not trust_code:
            check_options(yaml.safe_load(text), "the sweep", TRUST)
        with torch.device("meta"):
            system_from_config(text)
    except SystemExit as stopped:
        reason = said.getvalue().strip().removeprefix("wavelight: ")
        refused = refusal_of_import(stopped, "the sweep", TRUST)
        raise ValueError(f"variant {variant}: {refused or reason}") from stopped
    except (ValueError, OSError) as error:
        raise ValueError(f"variant {variant}: {in_words(str(error))}") from error
    config: dict[str, Any] = yaml.safe_load(text)
    length = config["trainer"]["max_epochs"], config["trainer"]["limit_train_batches"]
    # Lightning's types let a parser read 200 batches as 200.0, but a share of an epoch is at most 1.0.
    if not all(number is not None and number > 0 and _is_count(number) for number in length):
        raise ValueError(
            f"variant {variant}: trainer.max_epochs and limit_train_batches must be numbers, which say when a run is "
            f"finished, got {length[0]} and {length[1]}"
        )
    return config


def _is_count(number: float) -> bool:
    return isinstance(number, int) or (number > 1 and number.is_integer())


def check_folder(runs: list[SweepRun]) -> None:
    """Refuse to continue a run that began with other options."""
    for run in runs:
        if run.checkpoint.exists():
            difference = difference_but_seed(stored_config(run.checkpoint), run.config)
            if difference is not None:
                option, before, now = difference
                raise ValueError(
                    f"{option} must be {before} to continue {run.folder}, got {now}: name another folder, or remove "
                    "this one"
                )
