"""Recording of a run: one run of W&B and one ``run.json`` for all of its starts."""

from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from typing_extensions import override

from wavelight.callbacks import Evaluation, Throughput
from wavelight.loggers import WandbLogger
from wavelight.support.faults import GoingOn
from wavelight.support.stopwatch import device_name
from wavelight.systems import ImageGenerator
from wavelight.systems.cost import cost
from wavelight.training.closed_loggers import open_loggers
from wavelight.training.run_lock import is_held_elsewhere
from wavelight.training.run_record import RunRecord, command_line, names_of_run
from wavelight.training.saved_config import git_revision

_COLUMNS = ("system", "dataset", "seed", "published", "cost", "command", "device", "devices")
"""Facts that are columns of W&B's table of runs; those inside one as ``cost/nfe``."""


class Recording(L.Callback):
    """Keeps the record of a run, ``run.json``, and lets its loggers begin as one run of W&B."""

    def __init__(self) -> None:
        self.cost: dict[str, Any] = {}
        """NFE, GMACs and parameters of an image, on the first process; empty where they cannot be counted."""
        self._record: RunRecord | None = None
        self._going_on = GoingOn("writing run.json", "what it says may be old")

    @rank_zero_only
    def begin(self, trainer: L.Trainer, system: L.LightningModule) -> None:
        """Count what an image costs, before a trainer wraps the system."""
        self._record, self.cost = None, {}
        # Systems of others may stand in for ours where something is measured.
        if isinstance(system, ImageGenerator) and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.cost = _counted(system)

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._let_begin(trainer)

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._open(trainer, pl_module)

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.state.fn != "fit":
            self._let_begin(trainer)
            self._open(trainer, pl_module)

    @override
    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._let_begin(trainer)
        self._open(trainer, pl_module)

    @override
    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._write_progress(trainer)

    @override
    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._write_progress(trainer)

    def _let_begin(self, trainer: L.Trainer) -> None:
        """Give a trainer its loggers back, and those of W&B the run that they belong to; nothing is opened."""
        open_loggers(trainer)
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._find_record(trainer)

    def _find_record(self, trainer: L.Trainer) -> None:
        folder = Path(trainer.default_root_dir)
        measures = trainer.state.fn != "fit"
        if measures and not trainer.loggers:
            # What is measured is asked for by another command, and belongs to no run.
            return
        if measures and is_held_elsewhere(folder):
            # Two processes would overwrite what each says of the run.
            trainer.loggers = [
                each for each in trainer.loggers if not isinstance(each, WandbLogger)
            ]
            rank_zero_info(
                f"{folder} is that of a run that still trains: this is logged without W&B"
            )
            return
        self._record = record = RunRecord(folder)
        name, group, tags = _names(trainer)
        for logger in _of_wandb(trainer):
            record.facts["id"] = logger.id or record.facts["id"]
            logger.describe(name, group, tags)
            logger.continue_run(
                record.facts["id"], record.facts.get("steps", 0), record.facts.get("best", {})
            )

    @rank_zero_only
    def _open(self, trainer: L.Trainer, system: L.LightningModule) -> None:
        if self._record is None or not isinstance(system, ImageGenerator):
            return
        facts = self._facts(trainer, system, self._record.facts)
        with self._going_on.despite_faults():
            self._record.write(facts)
        for logger in _of_wandb(trainer):
            _tell_wandb(logger, self._record.facts)

    def _facts(
        self, trainer: L.Trainer, system: ImageGenerator, known: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the facts of a training, or of a measurement those that the folder does not say yet."""
        name, group, _ = _names(trainer)
        facts = {
            "name": name,
            "group": group,
            "system": type(system).__name__,
            "dataset": _dataset(trainer),
            "seed": system.seed,
            "published": _published(system),
            "cost": self.cost,
            "revision": git_revision(),
            "devices": trainer.world_size,
            "device": device_name(trainer.strategy.root_device),
        }
        if trainer.state.fn != "fit":
            facts = {key: value for key, value in facts.items() if key not in known}
        elif system.images_seen == 0 or "command" not in known:
            # Later starts go on with what the first one was asked.
            facts["command"] = command_line()
        floors = {
            name: value
            for callback in trainer.callbacks  # type: ignore[attr-defined]
            if isinstance(callback, Evaluation)
            for name, value in callback.floors.items()
        }
        return {**facts, "held_out": known.get("held_out", {}) | floors}

    @rank_zero_only
    def _write_progress(self, trainer: L.Trainer) -> None:
        if self._record is None or "system" not in self._record.facts:
            return
        progress: dict[str, Any] = {}
        for logger in _of_wandb(trainer):
            progress |= {"steps": logger.steps, "best": logger.best}
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            # A test has those of its checkpoint, which may be an early one.
            if isinstance(callback, Throughput) and trainer.state.fn == "fit":
                progress["device_hours"] = callback.device_hours
        with self._going_on.despite_faults():
            self._record.write(progress)


def _of_wandb(trainer: L.Trainer) -> list[WandbLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


def _names(trainer: L.Trainer) -> tuple[str, str, list[str]]:
    """Return a run's name, group and tags."""
    name, variant = names_of_run(Path(trainer.default_root_dir))
    dataset = _dataset(trainer)
    return name, f"{variant} on {dataset}", [type(trainer.lightning_module).__name__, dataset]


def _dataset(trainer: L.Trainer) -> str:
    # Data of one's own may have no name.
    return getattr(trainer.datamodule, "name", None) or "unnamed data"  # type: ignore[attr-defined]


def _tell_wandb(logger: WandbLogger, facts: dict[str, Any]) -> None:
    columns = {"git_revision": facts["revision"]}
    for name in _COLUMNS:
        value = facts.get(name)
        columns |= (
            {f"{name}/{part}": inner for part, inner in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    going_on = GoingOn("telling W&B about the run", "it is in run.json")
    with going_on.despite_faults():
        logger.experiment.config.update(columns, allow_val_change=True)
        best = {f"best/{name}": value for name, value in logger.best.items()}
        logger.experiment.summary.update(facts["held_out"] | best)


def _published(system: ImageGenerator) -> dict[str, Any]:
    """Return what a paper says of the experiment, from its configuration."""
    config = yaml.safe_load(system.config_text) if system.config_text else {}
    return {
        name: value for name, value in (config.get("published") or {}).items() if value is not None
    }


def _counted(system: ImageGenerator) -> dict[str, Any]:
    """Return what sampling an image costs; nothing, with a warning, of networks of others that cannot be counted."""
    try:
        networks = cost(system)
    except Exception as error:
        rank_zero_warn(
            f"the cost of an image cannot be counted ({type(error).__name__}: {error}); all else goes on"
        )
        return {}
    return {
        "nfe": sum(network.evaluations for network in networks),
        "gmacs": sum(network.macs for network in networks) / 1e9,
        "parameters": sum(network.parameters for network in networks),
    }
