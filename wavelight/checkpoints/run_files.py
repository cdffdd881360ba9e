"""The checkpoints in a run's folder, and which of them a run goes on from."""

from pathlib import Path
from typing import NamedTuple

from lightning.pytorch.utilities import rank_zero_warn

from wavelight.systems.base import PROGRESS_KEY
from wavelight.weights import check_whole, read_checkpoint

FOLDER = "checkpoints"
LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"
BEST = "best.ckpt"


class RunFile(NamedTuple):
    """A checkpoint of a run, and how far the run had come."""

    path: Path
    batches_seen: int
    images_seen: int


def run_files(folder: Path) -> list[Path]:
    """Return the checkpoints in a run's folder, whole or not.

    Args:
        folder: The run's: ``trainer.default_root_dir``.
    """
    named = [folder / FOLDER / name for name in (LAST, PREVIOUS, BEST)]
    # As Lightning writes them where SLURM warns a job.
    return [path for path in (*named, *sorted(folder.glob("hpc_ckpt_*.ckpt"))) if path.is_file()]


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint of a run that has come furthest, whoever wrote it; None where there is none.

    Damaged ones are passed over, with a warning that says so.

    Args:
        folder: The run's: ``trainer.default_root_dir``.

    Raises:
        ValueError: If there are checkpoints, and all are damaged.
    """
    paths = run_files(folder)
    whole, damaged = _sorted_out(paths)
    for file in sorted(whole, key=lambda file: file.batches_seen, reverse=True):
        try:
            check_whole(file.path)
        except ValueError as error:
            damaged.append(str(error))
            continue
        _warn_of_another(file, folder / FOLDER / LAST, damaged)
        return file.path
    if not paths:
        return None
    raise ValueError(
        f"ckpt_path last must find a whole checkpoint in {folder}, got none: {'; '.join(damaged)}; "
        "remove the files to start afresh, or give --ckpt_path a copy of your own"
    )


def _sorted_out(paths: list[Path]) -> tuple[list[RunFile], list[str]]:
    """Return the files that can be opened, in the given order, and what is wrong with the others."""
    whole, damaged = list[RunFile](), list[str]()
    for path in paths:
        try:
            progress = read_checkpoint(path, mapped=True).get(PROGRESS_KEY, {})
        except ValueError as error:
            damaged.append(str(error))
        else:
            whole.append(
                RunFile(path, progress.get("batches_seen", 0), progress.get("images_seen", 0))
            )
    return whole, damaged


def _warn_of_another(file: RunFile, last: Path, damaged: list[str]) -> None:
    if file.path != last:
        reasons = "; ".join(damaged) or f"it has come further than {last}"
        if not last.exists():
            reasons = f"there is no {last}"
        rank_zero_warn(f"Taking {file.path}, of {file.images_seen:,} images, because {reasons}.")
