"""The paths that a report is made of: runs' folders, checkpoints, and files of other commands."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wavelight.evaluation.results.json_files import read_json
from wavelight.evaluation.results.records import Record
from wavelight.evaluation.results.run_folders import CHECKPOINTS, CONFIG, read_run

_WEIGHTS = (".ckpt", ".safetensors")


class Inputs(NamedTuple):
    """What can be shown, and a sentence on everything that cannot."""

    records: list[Record]
    notes: list[str]


def read_inputs(paths: Sequence[Path]) -> Inputs:
    """Return what the paths say, in their order, every run once.

    Args:
        paths: Folders of runs, or folders that hold such; checkpoints in them, which stand for their run; JSON files of
            ``wavelight compare`` and ``wavelight measure``.

    Raises:
        ValueError: If there is nothing to show, in one sentence.
    """
    found = Inputs([], [])
    read: set[Path] = set()
    for path in (each for given in paths for each in _runs_in(given)):
        place = _run_of(path).resolve()
        if place in read:
            continue
        read.add(place)
        try:
            found.records.extend(_records(path, found.notes))
        except (ValueError, OSError) as error:
            found.notes.append(f"{' '.join(str(error).split())}.")
    if not found.records:
        reasons = " ".join(found.notes) or "it is empty."
        raise ValueError(f"runs must name something to show, got nothing that can be: {reasons}")
    return Inputs(_with_names(found.records), found.notes)


def _runs_in(path: Path) -> list[Path]:
    """Return the runs in a folder that is none; every other path alone, as it is."""
    if not path.is_dir():
        return [path]
    found = []
    for folder, inner, files in os.walk(path):
        if CONFIG in files:
            found.append(Path(folder))
            # What a run holds is no run: W&B keeps a file of that name.
            inner.clear()
    return sorted(found) or [path]


def _records(path: Path, notes: list[str]) -> list[Record]:
    folder = _run_of(path)
    if folder.is_dir():
        return [read_run(folder, notes)]
    if not path.exists():
        raise ValueError(f"there is no {path}")
    if path.suffix == ".json":
        return read_json(path)
    if path.suffix in _WEIGHTS:
        raise ValueError(f"{path} lies in no run's folder, and a checkpoint alone is not read")
    raise ValueError(f"{path} is no run's folder, no checkpoint and no JSON file")


def _run_of(path: Path) -> Path:
    """Return the folder of a checkpoint's run; every other path as it is."""
    return (
        path.parent.parent if path.suffix in _WEIGHTS and path.parent.name == CHECKPOINTS else path
    )


def _with_names(records: list[Record]) -> list[Record]:
    """Give records whose names are alike their paths for names."""
    names = [record.name for record in records]
    named = [
        record if names.count(record.name) == 1 else record._replace(name=str(record.folder))
        for record in records
    ]
    seen: dict[str, int] = {}
    for place, record in enumerate(named):
        number = seen[record.name] = seen.get(record.name, 0) + 1
        if number > 1:
            named[place] = record._replace(name=f"{record.name} ({number})")
    return named
