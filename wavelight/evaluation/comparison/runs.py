"""Which runs take part, what they are called, what they were trained on, and which of them are seeds of one system."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from data_modules import WaveletDataModule
from wavelight.checkpoints.configuration import check_stored, stored_config
from wavelight.checkpoints.data import build_data, data_options
from wavelight.checkpoints.run_files import BEST, FOLDER
from wavelight.config.differences import first_difference
from wavelight.config.seeds import difference_but_seed, groups_of_seeds, names_of_groups
from wavelight.systems.base import PROGRESS_KEY
from wavelight.weights import holds_run, read_checkpoint

SAME_DATA = ("source", "image_size", "held_out", "flip")
"""Options of the data that must agree; the rest decides how they are read, not which they are."""


class ComparedRun(NamedTuple):
    """The run that wrote a checkpoint, as its configuration has it."""

    path: Path
    name: str
    images_seen: int | None
    config: dict[str, Any]
    trust_code: bool = False
    """Whether its configuration may name any class."""

    @property
    def seed(self) -> int | None:
        """Seed of its training; None where the file does not say."""
        return self.config.get("seed_everything")

    @property
    def folder(self) -> Path:
        """The run's folder, or the file without its ending where it lies in none."""
        return _folder(self.path.absolute())

    @property
    def kind(self) -> str | None:
        """Which of its run's checkpoints it is: last.ckpt, best.ckpt; None where it lies in no run's folder."""
        return self.path.name if self.path.parent.name == FOLDER else None

    @property
    def trained_on(self) -> dict[str, Any]:
        """The options of its data that say which images they are, and their name."""
        data = self.config["data"]
        return {name: data.get(name) for name in ("name", *SAME_DATA)}


def read_runs(paths: list[Path], trust_code: bool = False) -> list[ComparedRun]:
    """Return what the checkpoints say, under names that tell them apart.

    Args:
        paths: The checkpoints.
        trust_code: Whether their configurations may name any class.

    Raises:
        FileNotFoundError: If one is missing.
        ValueError: If there are none, if one is named twice, holds no configuration, or names a class from elsewhere.
    """
    if not paths:
        raise ValueError("checkpoints is empty: name at least one checkpoint to compare")
    return [_run(path, name, trust_code) for path, name in zip(paths, _names(paths), strict=True)]


def _run(path: Path, name: str, trust_code: bool) -> ComparedRun:
    config = stored_config(path)
    if not config:
        raise ValueError(
            f"{path} holds no configuration, so that its data set is unknown: use a checkpoint "
            "written by `wavelight fit`"
        )
    # All files, before anything is built of one.
    sections: dict[str, Any] = {name: config[name] for name in ("model", "data") if name in config}
    check_stored(sections, path, trust_code)
    # Joined, converted and exported files count from 0.
    progress = read_checkpoint(path, mapped=True)[PROGRESS_KEY] if holds_run(path) else {}
    return ComparedRun(path, name, progress.get("images_seen"), config, trust_code)


def _names(paths: list[Path]) -> list[str]:
    """Return as much of the paths as tells the runs apart, their folders' names where these do."""
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ValueError(f"checkpoints must name each file once, got {twice} twice")
    folders = [_folder(path) for path in map(Path.absolute, paths)]
    for length in range(1, 1 + max(len(folder.parts) for folder in folders)):
        runs = ["/".join(folder.parts[-length:]) for folder in folders]
        files = [f"{run}/{path.stem}" for run, path in zip(runs, paths, strict=True)]
        for names in (runs, files):
            if len(set(names)) == len(names):
                return names
    return list(map(str, paths))


def _folder(path: Path) -> Path:
    """Return the run's folder, or the file without its ending where it lies in none."""
    return path.parent.parent if path.parent.name == FOLDER else path.with_suffix("")


def data_of_runs(runs: list[ComparedRun], changes: Mapping[str, Any]) -> WaveletDataModule:
    """Return the data that all were trained on.

    Args:
        runs: At least one.
        changes: Options of the data that are to have other values, such as ``eval_batch_size``.

    Raises:
        ValueError: If they were trained on different data, or these cannot be had any more.
    """
    options = [data_options(run.path, run.config, changes, run.trust_code) for run in runs]
    sections = [{name: each.data.as_dict()[name] for name in SAME_DATA} for each in options]
    for run, section in zip(runs, sections, strict=True):
        difference = first_difference(sections[0], section, "data")
        if difference is not None:
            raise ValueError(
                f"{runs[0].path} and {run.path} were trained on different data: {difference}"
            )
    return build_data(options[0])


def systems_of_runs(runs: list[ComparedRun]) -> tuple[dict[str, str], list[str]]:
    """Return the name of each run's system, by the run's name, and why runs are not joined that seem to share one.

    Seeds of one system share it: runs with different seeds whose configurations are alike otherwise, at checkpoints
    that are alike: of as many images, or each the best of its run. Which images are held out and what metrics compare
    with does not depend on the seed of a run (``data_modules.source``), and all sample from the same noise, so that
    values differ by what training made of its seed.
    """
    groups, notes = groups_of_seeds(runs, _why_apart)
    names = names_of_groups(groups)
    pairs = zip(groups, names, strict=True)
    return {run.name: name for group, name in pairs for run in group}, notes


def _why_apart(one: ComparedRun, other: ComparedRun) -> str | None:
    if difference_but_seed(one.config, other.config) is not None:
        return ""
    if one.kind != other.kind:
        return f"one checkpoint is {one.path.name} and the other {other.path.name}"
    if one.images_seen != other.images_seen and one.kind != BEST:
        return f"one has seen {_count(one.images_seen)} images and the other {_count(other.images_seen)}"
    return None


def _count(images: int | None) -> str:
    return "an unknown number of" if images is None else f"{images:,}"
