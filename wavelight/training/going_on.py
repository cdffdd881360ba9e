"""How a run goes on from a checkpoint: with the options of now, or not at all."""

import warnings
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from torch.optim import Optimizer
from typing_extensions import override

from wavelight.callbacks import ExponentialMovingAverage
from wavelight.callbacks.ema import ema_tensors
from wavelight.loggers import CSVLogger
from wavelight.systems import ImageGenerator
from wavelight.weights import TRAINING_KEY

OPTIMIZERS_KEY = "wavelight_optimizers"
"""Key of a checkpoint's optimizers: the class of each by the name of its network."""


def check_same_optimizers(system: ImageGenerator, checkpoint: Mapping[str, Any]) -> None:
    """Check that the networks that learn are those of a checkpoint, with optimizers of the same classes.

    Args:
        system: The system that is to go on.
        checkpoint: Of its run.

    Raises:
        ValueError: If they are not, in one sentence with the first that differs.
    """
    if OPTIMIZERS_KEY not in checkpoint:
        return
    then, now = checkpoint[OPTIMIZERS_KEY], _classes(system, _optimizers(system))
    for name in {**then, **now}:
        if then.get(name) != now.get(name):
            raise ValueError(
                f"{name} must go on with the optimizer of the checkpoint, {then.get(name, 'none')}, got "
                f"{now.get(name, 'none')}: keep the optimizer and model.init_args.train, or start a new run from the "
                "weights with --model.init_args.start_from"
            )


class GoOn(L.Callback):
    """Lets a run that goes on use the options that it was given, and leaves no trace of batches that are made again.

    Lightning restores the learning rates, betas and schedules of the checkpoint over those of the configuration, so
    that another one would be recorded and not used. Here the optimizers keep the moments of the checkpoint, and have
    the options of the configuration; the schedules are stepped anew to where the run stands.
    """

    @override
    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        assert isinstance(pl_module, ImageGenerator)
        checkpoint[OPTIMIZERS_KEY] = _classes(pl_module, trainer.optimizers)

    @override
    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        assert isinstance(pl_module, ImageGenerator)
        if trainer.state.fn != "fit":
            return
        if not any(isinstance(each, ExponentialMovingAverage) for each in trainer.callbacks):  # type: ignore[attr-defined]
            _take_training_weights(pl_module, checkpoint)
        optimizers, schedulers = _configured(pl_module)
        with warnings.catch_warnings():
            # No optimizer has made a step here, of which PyTorch reminds.
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
            for _ in range(pl_module.epochs_seen):
                for scheduler in schedulers:
                    scheduler.step()
        checkpoint["lr_schedulers"] = [scheduler.state_dict() for scheduler in schedulers]
        for saved, optimizer in zip(checkpoint["optimizer_states"], optimizers, strict=True):
            groups = zip(saved["param_groups"], optimizer.state_dict()["param_groups"], strict=True)
            saved["param_groups"] = [{**new, "params": old["params"]} for old, new in groups]

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        if pl_module.images_seen:
            _forget_later_rows(trainer, pl_module)


def _take_training_weights(system: ImageGenerator, checkpoint: dict[str, Any]) -> None:
    """Go on from the weights that optimizers step, where nothing keeps an EMA any more."""
    tensors = ema_tensors(system)
    for name, weight in checkpoint.get(TRAINING_KEY, {}).items():
        tensors[name].copy_(weight)


@rank_zero_only
def _forget_later_rows(trainer: L.Trainer, system: ImageGenerator) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, CSVLogger):
            logger.forget_after(system.images_seen, system.batches_seen)


def _configured(system: ImageGenerator) -> tuple[list[Optimizer], list[Any]]:
    configured = system.configure_optimizers()
    return configured if isinstance(configured, tuple) else (configured, [])


def _optimizers(system: ImageGenerator) -> list[Optimizer]:
    return _configured(system)[0]


def _classes(system: ImageGenerator, optimizers: list[Optimizer]) -> dict[str, str]:
    names = (f"{type(each).__module__}.{type(each).__qualname__}" for each in optimizers)
    return dict(zip(system.learners(), names, strict=True))
