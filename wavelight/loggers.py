"""Loggers of a run's numbers: a CSV file, TensorBoard, and Weights & Biases."""

import csv
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch import loggers
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from typing_extensions import override

from wavelight.metrics.directions import best_of, higher_is_better
from wavelight.support.faults import is_of_the_machine
from wavelight.support.files import draft_of
from wavelight.support.private_names import (
    drop_wandb_option,
    opened_experiment,
    set_experiment,
    set_wandb_offline,
    set_wandb_option,
    wandb_option,
)
from wavelight.support.wandb_server import patience, why_offline

_MEASURED = ("val/", "test/")
"""What the names of metrics begin with, whose best values W&B is to keep."""


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
        # A test may have added columns while its training runs.
        self._check_log_dir_exists()
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


class TensorBoardLogger(loggers.TensorBoardLogger):
    """Writes for TensorBoard into ``tensorboard`` of the run's folder; it needs tensorboard or tensorboardX.

    Args:
        save_dir: The folder; None is the run's own, ``trainer.default_root_dir``.
    """

    def __init__(self, save_dir: str | None = None) -> None:
        super().__init__(save_dir or ".", name="", version="tensorboard")


class WandbLogger(loggers.WandbLogger):
    """Logs to Weights & Biases; without a key, or where W&B is down, it writes offline, with one line of notice.

    One training is one run of W&B, also over restarts, ``validate`` and ``test``: a trainer keeps the run's id in the
    run's folder, and continues it by :meth:`continue_run`. A server that fails later stops no training either: what
    it has not got lies on the disk, for ``wandb sync``.

    Args:
        project: The project at W&B.
        name: The run's name; None takes that of the run's folder.
        group: What the run shares with others that differ in the seed alone; None names the folder and the data set.
        tags: Words to find the run by; None takes the system and the data set.
        entity: The team or user that owns the project; None is the owner of the key.
        save_dir: The folder for W&B's files; None is the run's own, ``trainer.default_root_dir``.
        offline: Whether to write offline even if W&B could be reached; ``wandb sync`` uploads the
            files later.
        id: The run's id, to append to a run that exists; None takes that of the run's folder.

    Attributes:
        best: The best values of metrics so far, by name; in the run's summary they are ``best/val/fid10k``.
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
        chosen = os.environ.get("WANDB_MODE")
        self._why_offline = "offline is true" if offline else _mode_offline(chosen)
        if self._why_offline is None and _first_process():
            self._why_offline = why_offline()
        super().__init__(
            name=name,
            save_dir=os.path.abspath(save_dir or "."),
            offline=self._why_offline is not None,
            # As an argument as well, because W&B reads WANDB_MODE only once in a process.
            mode="offline" if self._why_offline else chosen,
            id=id or os.environ.get("WANDB_RUN_ID"),
            project=project,
            group=group,
            tags=tags,
            entity=entity,
            job_type="train",
            settings=patience(),
        )
        self.best: dict[str, float] = {}
        self._first_step = 0
        self._defined: set[str] = set()
        # Lightning passes it on, and W&B warns that it means nothing any more.
        drop_wandb_option(self, "anonymous")

    def describe(self, name: str, group: str, tags: list[str]) -> None:
        """Name the run, before its first use, in what its user has left open.

        Args:
            name: The run's.
            group: What it shares with runs that differ in the seed alone.
            tags: Words to find it by.
        """
        for option, value in (("name", name), ("group", group), ("tags", tags)):
            if wandb_option(self, option) is None:
                set_wandb_option(self, option, value)

    def continue_run(self, id: str, steps: int, best: Mapping[str, float]) -> None:
        """Belong to a run that may have been logged to before; for before the first use.

        Args:
            id: The run's.
            steps: How many steps W&B has of it: an offline file does not know those before it.
            best: The best values so far, by the names of their metrics.
        """
        set_wandb_option(self, "id", id)
        self._first_step = steps
        self.best = dict(best)

    @property
    def id(self) -> str | None:
        """The run's id, None where nobody has given one yet."""
        return wandb_option(self, "id")

    @property
    def steps(self) -> int:
        """How many steps W&B has of the run, 0 before the first use: each row that is logged is one."""
        run = opened_experiment(self)
        return self._first_step if run is None else int(getattr(run, "step", 0))

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run of W&B, which the first use starts."""
        if opened_experiment(self) is not None:
            return super().experiment
        self._say_where()
        try:
            run = super().experiment
        except Exception as error:
            if not is_of_the_machine(error):
                raise
            self._why_offline = f"it cannot start a run: {' '.join(str(error).split())}"
            set_wandb_offline(self)
            self._say_where()
            run = super().experiment
        if run is not None:
            run.define_metric("images_seen")
        return run

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log a row, as one step of W&B's.

        Args:
            metrics: Values by name, ``images_seen`` among them.
            step: Not W&B's, which has rows of several kinds at one batch.
        """
        run = self.experiment
        for name in metrics.keys() - self._defined - {"images_seen"}:
            # By exact names: behind one pattern, such as Lightning's, W&B ignores others.
            measured = name.startswith(_MEASURED)
            summary = {"summary": f"{best_of(name)},last"} if measured else {}
            run.define_metric(name, step_metric="images_seen", **summary)
        self._defined |= metrics.keys()
        if self.steps < self._first_step:
            run.log(dict(metrics), step=self._first_step, commit=True)
        else:
            run.log(dict(metrics))
        self._keep_best(run, metrics)

    def _keep_best(self, run: Any, metrics: Mapping[str, Any]) -> None:
        """Bring best values to the summary: W&B's own are of one process, and a second one overwrites them."""
        better = {
            name: float(value)
            for name, value in metrics.items()
            if name.startswith(_MEASURED)
            and (name not in self.best or _is_better(name, value, self.best[name]))
        }
        if better:
            self.best |= better
            run.summary.update({f"best/{name}": value for name, value in better.items()})

    def _say_where(self) -> None:
        """Let W&B be silent offline, in whose place one line says why, and online say where the run is."""
        if self._why_offline is None:
            # Offline W&B warns that it cannot know.
            set_wandb_option(self, "resume", "allow" if wandb_option(self, "id") else None)
            return
        set_wandb_option(self, "resume", None)
        set_wandb_option(self, "settings", patience() | {"silent": True})
        rank_zero_info(
            f"W&B writes offline, because {self._why_offline}; upload later with `wandb sync`."
        )


def _is_better(metric: str, value: float, than: float) -> bool:
    return value > than if higher_is_better(metric) else value < than


def _mode_offline(mode: str | None) -> str | None:
    return f"WANDB_MODE is {mode}" if mode in ("offline", "dryrun") else None


def _first_process() -> bool:
    return int(getattr(rank_zero_only, "rank", 0)) == 0
