"""Which runs take part, what they are called, what they were trained on, and which of them are seeds of one system."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from data_modules import WaveletDataModule
from wavelight.checkpoints.configuration import check_stored, stored_config
from wavelight.checkpoints.data import build_data, data_options
from wavelight.checkpoints.run_files import FOLDER
from wavelight.config.differences import first_difference
from wavelight.config.seeds import difference_but_seed
from wavelight.systems.base import PROGRESS_KEY
from wavelight.weights import holds_run, read_checkpoint

_SAME_DATA = ("source", "image_size", "held_out", "flip")
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
    sections = [{name: each.data.as_dict()[name] for name in _SAME_DATA} for each in options]
    for run, section in zip(runs, sections, strict=True):
        difference = first_difference(sections[0], section, "data")
        if difference is not None:
            raise ValueError(
                f"{runs[0].path} and {run.path} were trained on different data: {difference}"
            )
    return build_data(options[0])


def systems(runs: list[ComparedRun]) -> dict[str, str]:
    """Return the name of each run's system, by the run's name: seeds of one system share it.

    They are runs with different seeds whose configurations are alike otherwise, and which have seen
    as many images. Which images are held out and what metrics compare with does not depend on the
    seed of a run (``data_modules.source``), and all sample from the same noise, so that values differ
    by what training made of its seed.
    """
    groups = list(_groups(runs))
    names = [_group_name(group) for group in groups]
    return {
        run.name: name if names.count(name) == 1 else ", ".join(each.name for each in group)
        for group, name in zip(groups, names, strict=True)
        for run in group
    }


def _groups(runs: list[ComparedRun]) -> Iterator[list[ComparedRun]]:
    found: list[list[ComparedRun]] = []
    for run in runs:
        alike = (group for group in found if _are_seeds(group[0], run))
        group = next(alike, None)
        if group is None:
            found.append([run])
        else:
            group.append(run)
    for group in found:
        # Twice the same seed is no second observation.
        several = len({run.seed for run in group}) == len(group)
        yield from [group] if several else [[run] for run in group]


def _are_seeds(one: ComparedRun, other: ComparedRun) -> bool:
    files = [run.path.stem if run.path.parent.name == FOLDER else None for run in (one, other)]
    return (
        files[0] == files[1]
        and one.images_seen == other.images_seen
        and difference_but_seed(one.config, other.config) is None
    )


def _group_name(group: list[ComparedRun]) -> str:
    """Return what the runs are called apart from their seeds: gan, of gan-1 and gan-2, or gan/seed-1 and gan/seed-2."""
    if len(group) == 1:
        return group[0].name
    bare = {re.sub(rf"[\W_]*(seed)?[\W_]*{run.seed}$", "", run.name) for run in group}
    if len(bare) > 1:
        return ", ".join(run.name for run in group)
    folder = Path(os.path.commonpath([_folder(run.path.absolute()) for run in group])).name
    return bare.pop() or folder
