"""Recording of a run: one run of W&B and one ``run.json`` for all of its starts, opened once it may begin."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from typing_extensions import override

from wavelight.callbacks import Evaluation, Throughput
from wavelight.loggers import WandbLogger
from wavelight.support.faults import GoingOn
from wavelight.support.stopwatch import device_name
from wavelight.systems import ImageGenerator
from wavelight.systems.cost import cost
from wavelight.training.run_record import RunRecord, command_line, names_of_run
from wavelight.training.saved_config import git_revision

_COLUMNS = ("system", "dataset", "seed", "published", "cost", "command", "device", "devices")
"""Facts that are columns of W&B's table of runs; those inside one as ``cost/nfe``."""


class Recording(L.Callback):
    """Keeps the record of a run, and lets loggers begin once its data and configuration were checked.

    Lightning opens loggers before it looks at anything, so that a refused command would leave a run in W&B.
    """

    def __init__(self) -> None:
        self._held: list[Logger] = []
        self._record: RunRecord | None = None
        self._cost: dict[str, Any] = {}
        self._going_on = GoingOn("writing run.json", "what it says may be old")

    @contextmanager
    def held_back(self, trainer: L.Trainer, system: L.LightningModule) -> Iterator[None]:
        """Hold back the loggers of a trainer inside this context until a hook of this callback lets them begin."""
        self._held, trainer.loggers = trainer.loggers, []
        self._record = None
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            # Before the trainer wraps it.
            self._cost = _counted(system)
        try:
            yield
        finally:
            self._let_begin(trainer)

    @property
    def cost(self) -> dict[str, Any]:
        """NFE, GMACs and parameters of an image, on the first process; empty where they cannot be counted."""
        return self._cost

    def _let_begin(self, trainer: L.Trainer) -> None:
        if self._held:
            trainer.loggers, self._held = self._held, []

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

    @rank_zero_only
    def _open(self, trainer: L.Trainer, system: L.LightningModule) -> None:
        assert isinstance(system, ImageGenerator)
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        folder = Path(trainer.default_root_dir)
        self._record = record = RunRecord(folder)
        facts = self._facts(trainer, system, record)
        with self._going_on.despite_faults():
            record.write(facts)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                _tell_wandb(logger, record.facts)

    def _facts(
        self, trainer: L.Trainer, system: ImageGenerator, record: RunRecord
    ) -> dict[str, Any]:
        """Return the facts of a training, or of a measurement those that the folder does not say yet."""
        name, variant = names_of_run(Path(trainer.default_root_dir))
        # Data of one's own may have no name.
        data = getattr(trainer, "datamodule", None)
        dataset = getattr(data, "name", None) or type(data).__name__.lower()
        facts = {
            "name": name,
            "group": f"{variant} on {dataset}",
            "system": type(system).__name__,
            "dataset": dataset,
            "seed": system.seed,
            "published": _published(system),
            "cost": self._cost,
            "command": command_line(),
            "revision": git_revision(),
            "devices": trainer.world_size,
            "device": device_name(trainer.strategy.root_device),
        }
        if trainer.state.fn != "fit":
            facts = {key: value for key, value in facts.items() if key not in record.facts}
        floors = {
            name: value
            for callback in trainer.callbacks  # type: ignore[attr-defined]
            if isinstance(callback, Evaluation)
            for name, value in callback.floors.items()
        }
        return {**facts, "held_out": record.facts.get("held_out", {}) | floors}

    @rank_zero_only
    def _write_progress(self, trainer: L.Trainer) -> None:
        if self._record is None:
            return
        progress: dict[str, Any] = {}
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                progress["steps"] = logger.steps
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            # A test has those of its checkpoint, which may be an early one.
            if isinstance(callback, Throughput) and trainer.state.fn == "fit":
                progress["device_hours"] = callback.device_hours
        with self._going_on.despite_faults():
            self._record.write(progress)


def _tell_wandb(logger: WandbLogger, facts: dict[str, Any]) -> None:
    logger.describe(facts["name"], facts["group"], [facts["system"], facts["dataset"]])
    logger.continue_run(facts["id"], facts.get("steps", 0))
    columns = {"git_revision": facts["revision"]}
    for name in _COLUMNS:
        value = facts[name]
        columns |= (
            {f"{name}/{part}": inner for part, inner in value.items()}
            if isinstance(value, dict)
            else {name: value}
        )
    going_on = GoingOn("telling W&B about the run", "it is in run.json")
    with going_on.despite_faults():
        logger.experiment.config.update(columns, allow_val_change=True)
        logger.experiment.summary.update(facts["held_out"])


def _published(system: ImageGenerator) -> dict[str, Any]:
    """Return what a paper says of the experiment, from its configuration."""
    config = yaml.safe_load(system.config_text) if system.config_text else {}
    return {
        name: value for name, value in (config.get("published") or {}).items() if value is not None
    }


def _counted(system: L.LightningModule) -> dict[str, Any]:
    """Return what sampling an image costs; nothing, with a warning, of networks of others that cannot be counted."""
    assert isinstance(system, ImageGenerator)
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
