"""Evaluation: how close the drawn images are to the real ones, at every validation and test."""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from typing_extensions import override

from wavelight.metrics.base import ImageMetric, to_uint8
from wavelight.metrics.collectives import total

FAST_DEV_RUN_IMAGES = 64
STAGES = {"fit": "val", "validate": "val", "test": "test"}


class Evaluation(L.Callback):
    """Measures the images that validation and test steps draw against the real ones.

    Each number is logged with the number of drawn images in its name, ``val/fwd2k`` or ``test/fid50k``, because it
    depends on it; and under its plain name, ``val/fwd``, which no logger sees, for ``monitor`` of ModelCheckpoint: so
    a monitor stays right when ``val_images`` changes. All processes log the same value.

    Real images are measured before training starts, exactly once over all processes, and kept in the data module's
    cache. If it holds images out, they are measured as if they had been drawn, as many of them: the floor that a
    perfect model would reach, logged once as ``val/fwd2k_held_out`` and kept in :attr:`held_out`.

    The step of the LightningModule returns ``{"image": (N, C, H, W)}``; the data module is a WaveletDataModule.

    Args:
        metrics: What to measure.
        reference_images: How many real images to measure; all of the training part by default.
        at_start: Whether to measure the untrained network too, before its first batch. Resumed runs do not.

    Attributes:
        history: What was measured, as (images seen, {name: value}), oldest first; kept in checkpoints.
        held_out: What was measured on held-out real images, by name.
    """

    def __init__(
        self, metrics: list[ImageMetric], reference_images: int | None = None, at_start: bool = True
    ) -> None:
        self.metrics = metrics
        self.reference_images = reference_images
        self.at_start = at_start
        self.history: list[tuple[int, dict[str, float]]] = []
        self.held_out: dict[str, float] = {}
        self._reference_of = ""
        self._seen = 0

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Fetch weights and measure real images, before anything is trained.

        Raises:
            FileNotFoundError: If a metric's weights are missing.
            ValueError: If there is no data module, or its images have no range of brightness.
        """
        if stage not in STAGES:
            return
        self._check(trainer)
        self._prepare_metrics(trainer)
        with _undisturbed(trainer):
            self._prepare_reference(trainer)
            self._measure_held_out(trainer, stage)

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.at_start or pl_module.images_seen > 0:
            return
        trainer.print("evaluating the untrained network")
        with _undisturbed(trainer), _evaluating(trainer, pl_module):
            for index, batch in enumerate(_validation_batches(trainer)):
                self._look(trainer, pl_module.validation_step(batch, index))
        # `self.log` would keep the numbers until the end of the epoch.
        self._log_now(trainer, self._finish(trainer, pl_module, "val"))

    @override
    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *args: Any, **kwargs: Any
    ) -> None:
        if not trainer.sanity_checking:
            self._look(trainer, outputs)

    @override
    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *args: Any, **kwargs: Any
    ) -> None:
        self._look(trainer, outputs)

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            _log(pl_module, self._finish(trainer, pl_module, "val"))

    @override
    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        _log(pl_module, self._finish(trainer, pl_module, "test"))

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"history": list(self.history)}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = [(seen, dict(values)) for seen, values in state_dict["history"]]

    def _check(self, trainer: L.Trainer) -> None:
        if trainer.datamodule is None:
            raise ValueError("Evaluation measures against the real images of a data module: give the Trainer one")
        if trainer.datamodule.value_range is None:
            raise ValueError("Evaluation compares pictures, and this data set declares no range of brightness: drop it")

    def _prepare_metrics(self, trainer: L.Trainer) -> None:
        # One process of a machine comes first, so that weights are downloaded once.
        for first in (True, False):
            if first == (trainer.local_rank == 0):
                for metric in self.metrics:
                    metric.prepare()
            trainer.strategy.barrier("metrics")
        for metric in self.metrics:
            metric.to(trainer.strategy.root_device)

    def _prepare_reference(self, trainer: L.Trainer) -> None:
        """Give each metric its real statistics, from the cache or else from the real images."""
        images = FAST_DEV_RUN_IMAGES if trainer.fast_dev_run else self.reference_images
        if self._reference_of == trainer.datamodule.fingerprint:
            return
        paths = [_cache_file(trainer.datamodule, metric, images) for metric in self.metrics]
        # Process 0 decides: the others may have another disk.
        known = trainer.strategy.broadcast([path.is_file() for path in paths])
        missing = [(metric, path) for metric, path, found in zip(self.metrics, paths, known, strict=True) if not found]
        if missing:
            self._measure_reference(trainer, missing, images)
        for metric, path in zip(self.metrics, paths, strict=True):
            metric.reset()
            # The processes' statistics are added up, so that only one may hold them.
            if trainer.is_global_zero:
                metric.load_real_statistics(torch.load(path, map_location="cpu", weights_only=True))
        self._reference_of = trainer.datamodule.fingerprint

    def _measure_reference(
        self, trainer: L.Trainer, missing: list[tuple[ImageMetric, Path]], images: int | None
    ) -> None:
        loader = trainer.datamodule.reference_dataloader(images)
        for batch in _with_progress(loader, "measuring real images", trainer):
            for metric, _ in missing:
                metric.update(self._bytes(trainer, batch["image"]), real=True)
        for metric, path in missing:
            statistics = metric.real_statistics()
            if trainer.is_global_zero:
                _save_atomically(statistics, path)
                print(f"real statistics of {type(metric).__name__} are kept in {path}", flush=True)
        trainer.strategy.barrier("reference")

    def _measure_held_out(self, trainer: L.Trainer, stage: str) -> None:
        """Measure held-out real images as if they were drawn, as many as will be drawn."""
        data = trainer.datamodule
        images = data.test_images if stage == "test" else data.val_images
        images = min(images, FAST_DEV_RUN_IMAGES) if trainer.fast_dev_run else images
        if not data.held_out or not images:
            return
        for batch in _with_progress(data.held_out_dataloader(images), "measuring held-out images", trainer):
            self._look(trainer, batch)
        values, drawn = self._values(trainer)
        self.held_out.update(values)
        names = {f"{STAGES[stage]}/{name}{short_count(drawn)}_held_out": value for name, value in values.items()}
        self._log_now(trainer, names)
        if trainer.is_global_zero:
            print(f"held-out real images: {_line(names)}", flush=True)

    def _look(self, trainer: L.Trainer, outputs: Any) -> None:
        if not isinstance(outputs, dict) or "image" not in outputs:
            raise ValueError('Evaluation needs a validation_step and test_step that return {"image": drawn images}')
        images = self._bytes(trainer, outputs["image"])
        self._seen += len(images)
        for metric in self.metrics:
            metric.update(images, real=False)

    def _bytes(self, trainer: L.Trainer, images: Tensor) -> Tensor:
        return to_uint8(images.detach().to(trainer.strategy.root_device), trainer.datamodule.value_range)

    def _finish(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> dict[str, float]:
        """Return what the drawn images come to, by name with and without their number, and note it down."""
        values, drawn = self._values(trainer)
        if not drawn:
            return {}
        named = {f"{stage}/{name}{short_count(drawn)}": value for name, value in values.items()}
        self.history.append((int(module.images_seen), named))
        trainer.print(f"after {module.images_seen:,} images: {_line(named)}{self._floor()}")
        return named | {f"{stage}/{name}": value for name, value in values.items()}

    def _values(self, trainer: L.Trainer) -> tuple[dict[str, float], int]:
        """Return what was measured and on how many images, over all processes; and forget these images."""
        drawn = int(total(torch.tensor(self._seen, device=trainer.strategy.root_device)))
        values: dict[str, float] = {}
        if drawn:
            values = {name: float(value) for metric in self.metrics for name, value in metric.values().items()}
        for metric in self.metrics:
            metric.forget_drawn()
        self._seen = 0
        return values, drawn

    def _log_now(self, trainer: L.Trainer, values: dict[str, float]) -> None:
        counted = {name: value for name, value in values.items() if not _is_plain(name, values)}
        for logger in trainer.loggers:
            logger.log_metrics(counted | {"images_seen": 0.0}, step=0)

    def _floor(self) -> str:
        return f"   (held-out real images: {_line(self.held_out)})" if self.held_out else ""
