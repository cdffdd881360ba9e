"""Loggers of a run's numbers: a CSV file, and Weights & Biases."""

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch import loggers
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from wavelight.support.faults import is_of_the_machine
from wavelight.support.files import draft_of
from wavelight.support.private_names import (
    drop_wandb_option,
    opened_experiment,
    set_experiment,
    set_wandb_offline,
)
from wavelight.support.wandb_server import patience, why_offline


class _AppendingWriter(ExperimentWriter):
    """Appends to the file of an earlier run, which Lightning's writer removes: it may be continued, or only tested.

    Rows that cannot be written stay in memory until they can. A line that a full disk has cut is taken back.
    """

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.exists():
            with path.open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])

    @override
    def save(self) -> None:
        """Append the rows that were logged since the last time."""
        if not self.metrics:
            return
        path = Path(self.metrics_file_path)
        header = sorted({*self.metrics_keys, *(key for row in self.metrics for key in row)})
        if header != self.metrics_keys:
            _write_with_header(path, header)
            self.metrics_keys = header
        with path.open("a", newline="") as file, _whole_or_nothing(file):
            csv.DictWriter(file, header).writerows(self.metrics)
        self.metrics = []


def _write_with_header(path: Path, header: list[str]) -> None:
    """Give a file another header, and keep its rows; all of it or nothing."""
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    with draft_of(path) as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _whole_or_nothing(file: TextIO) -> Iterator[None]:
    """Take back what was appended to a file, if not all of it could be."""
    before = os.fstat(file.fileno()).st_size
    try:
        yield
        file.flush()
    except OSError:
        os.truncate(file.name, before)
        # What is left in its buffer would follow as it is closed.
        with suppress(OSError):
            file.close()
        os.truncate(file.name, before)
        raise


class CSVLogger(loggers.CSVLogger):
    """Writes every logged number into ``metrics.csv`` of the run's folder; a continued run appends to it.

    Args:
        save_dir: The folder; None is the run's own, ``trainer.default_root_dir``.
    """

    def __init__(self, save_dir: str | None = None) -> None:
        super().__init__(save_dir or ".", name="", version="")

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of ``metrics.csv``, which the first use opens."""
        if opened_experiment(self) is None:
            set_experiment(self, _AppendingWriter(self.log_dir))
        return opened_experiment(self)

    def forget_after(self, images_seen: int, batches_seen: int) -> None:
        """Drop rows of the file that were written behind the place from which a run goes on, and a cut last line.

        Args:
            images_seen: By the run, where it goes on.
            batches_seen: The same in batches.
        """
        path = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
        if not path.exists():
            return
        header, rows = _whole_rows(path)
        kept = [row for row in rows if _is_before(row, images_seen, batches_seen)]
        with draft_of(path) as draft, draft.open("w", newline="") as file:
            writer = csv.DictWriter(file, header)
            writer.writeheader()
            writer.writerows(kept)


def _whole_rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the header of a CSV file, and its rows but those that are cut or are no text."""
    text = path.read_text(errors="replace")
    # A line is whole once its end is there.
    lines = text[: text.rfind("\n") + 1].replace("\0", "").splitlines()
    reader = csv.reader(lines)
    header = next(reader, [])
    return header, [
        dict(zip(header, row, strict=True)) for row in reader if len(row) == len(header)
    ]


def _is_before(row: dict[str, str], images_seen: int, batches_seen: int) -> bool:
    try:
        if row.get("images_seen"):
            return float(row["images_seen"]) <= images_seen
        # A row has the number of its batch, from 0.
        return int(row["step"]) < batches_seen
    except (KeyError, ValueError):
        return False


class WandbLogger(loggers.WandbLogger):
    """Logs to Weights & Biases; without a key, or where W&B is down, it writes offline, with one line of notice.

    A server that fails later stops no training either: what it has not got lies on the disk, for ``wandb sync``.

    Args:
        project: The project at W&B.
        name: The run's name; None takes that of the run's folder in commands, and lets W&B choose one in Python.
        group: The group of runs to compare this one with.
        tags: Words to find the run by.
        entity: The team or user that owns the project; None is the owner of the key.
        save_dir: The folder for W&B's files; None is the run's own, ``trainer.default_root_dir``.
        offline: Whether to write offline even if W&B could be reached; ``wandb sync`` uploads the
            files later.
        id: The run's id, to append to a run that exists.
    """

    def __init__(
        self,
        project: str = "wavelight",
        name: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        entity: str | None = None,
        save_dir: str | None = None,
        offline: bool = False,
        id: str | None = None,
    ) -> None:
        reason = None if offline or not _first_process() else why_offline()
        if reason:
            _tell_offline(reason)
        chosen = os.environ.get("WANDB_MODE")
        stay_offline = offline or reason is not None or chosen in ("offline", "dryrun")
        super().__init__(
            name=name,
            save_dir=os.path.abspath(save_dir or "."),
            offline=stay_offline,
            # As an argument as well, because W&B reads WANDB_MODE only once in a process.
            mode="offline" if stay_offline else chosen,
            id=id,
            project=project,
            group=group,
            tags=tags,
            entity=entity,
            resume="allow" if id else None,
            settings=patience(),
        )
        # Lightning passes it on, and W&B warns that it means nothing any more.
        drop_wandb_option(self, "anonymous")

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run of W&B, with ``images_seen`` as the x-axis of all its plots; the first use starts it."""
        if opened_experiment(self) is not None:
            return super().experiment
        try:
            run = super().experiment
        except Exception as error:
            if not is_of_the_machine(error):
                raise
            _tell_offline(f"it cannot start a run: {' '.join(str(error).split())}")
            set_wandb_offline(self)
            run = super().experiment
        if run is not None:
            run.define_metric("images_seen")
            run.define_metric("*", step_metric="images_seen")
        return run


def _tell_offline(reason: str) -> None:
    rank_zero_info(f"W&B writes offline, because {reason}; upload later with `wandb sync`.")


def _first_process() -> bool:
    return int(getattr(rank_zero_only, "rank", 0)) == 0
