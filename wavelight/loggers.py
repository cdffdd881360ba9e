"""Loggers of a run's numbers: a CSV file, and Weights & Biases."""

import csv
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch import loggers
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from wavelight.support.files import draft_of
from wavelight.support.private_names import drop_wandb_option, opened_experiment, set_experiment

_CONNECT_SECONDS = 3.0


class _AppendingWriter(ExperimentWriter):
    """Appends to the file of an earlier run, which Lightning's writer removes: it may be continued, or only tested."""

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.exists():
            with path.open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])


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
    """Logs to Weights & Biases; without a key or a network it writes offline, with one line of notice.

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
        reason = None if offline or not _first_process() else _why_offline()
        if reason:
            rank_zero_info(f"W&B writes offline, because {reason}; upload later with `wandb sync`.")
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
        )
        # Lightning passes it on, and W&B warns that it means nothing any more.
        drop_wandb_option(self, "anonymous")

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run of W&B, with ``images_seen`` as the x-axis of all its plots; the first use starts it."""
        first = opened_experiment(self) is None
        run = super().experiment
        if first:
            run.define_metric("images_seen")
            run.define_metric("*", step_metric="images_seen")
        return run


def _first_process() -> bool:
    return int(getattr(rank_zero_only, "rank", 0)) == 0


def _why_offline() -> str | None:
    """Return why W&B cannot be reached, or None if it can, or if ``WANDB_MODE`` has decided already."""
    import wandb

    if os.environ.get("WANDB_MODE"):
        return None
    settings = wandb.setup().settings
    if not (os.environ.get("WANDB_API_KEY") or wandb.api.api_key):
        return "there is no API key (`wandb login` makes one)"
    url = urlparse(settings.base_url)
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname, port), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return f"{url.hostname} cannot be reached"
    return None
