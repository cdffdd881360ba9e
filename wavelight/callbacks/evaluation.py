"""Metrics of the generated images against the real ones, at every validation and test."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import lightning as L
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from typing_extensions import override

from wavelight.callbacks.reference import (
    ReferenceData,
    load_statistics,
    reference_data,
    save_statistics,
    statistics_file,
    update_metrics,
)
from wavelight.metrics.base import ImageMetric
from wavelight.metrics.inception import complete_inception
from wavelight.support.collectives import total
from wavelight.support.errors import OptionError
from wavelight.support.progress import with_progress
from wavelight.support.refusals import refused_together

FAST_DEV_RUN_IMAGES = 64


STAGES = {"fit": "val", "validate": "val", "test": "test"}


class Measured(NamedTuple):
    """Values by metric, and the number of generated images that they were measured on."""

    values: dict[str, float]
    images: int

    def named(self, stage: str, ending: str = "") -> dict[str, float]:
        """Return the values by their names in logs, like ``val/fwd2048``."""
        count = short_count(self.images)
        return {f"{stage}/{name}{count}{ending}": value for name, value in self.values.items()}


class Evaluation(L.Callback):
    """Measures the images that validation and test steps sample against the real ones.

    Each number is logged with the number of generated images in its name, ``val/fwd2048`` or
    ``test/fid50k``, because it depends on it. ModelCheckpoint also finds it under its plain name,
    ``val/fwd``, which no logger sees: so a ``monitor`` stays right when ``val_images`` changes. All
    processes log the same value.

    Real images are measured before training starts, exactly once over all processes, and kept in
    the data module's cache. If it has a held-out split, as many of its images are measured as if they had
    been generated: the floor that a perfect model would reach, told once as ``val/fwd2048_held_out``
    in ``run.json`` and in the summary of W&B, and kept in ``held_out``.

    The steps of the LightningModule return ``{"image": generated images}``; the data module is a
    WaveletDataModule.

    Args:
        metrics: Metrics to compute. Data without bounds (fields) take ``FieldDistance`` alone;
            it takes pictures, too.
        reference_images: Number of real images to measure; by default the whole training split.
        at_start: Whether to measure the untrained network too, before its first batch. Resumed runs are not
            measured so.
        weights: torch-fidelity's file of Inception's weights, for the InceptionMetrics that name none.

    Attributes:
        history: Values measured, as (images seen, {name: value}), oldest first; kept in
            checkpoints.
        held_out: Values measured on held-out real images, by metric.
        floors: The same by their names in logs, of every stage so far.
    """

    def __init__(
        self,
        metrics: list[ImageMetric],
        reference_images: int | None = None,
        at_start: bool = True,
        weights: Path | None = None,
    ) -> None:
        self.metrics = metrics
        complete_inception(metrics, weights)
        self.reference_images = reference_images
        self.at_start = at_start
        self.history: list[tuple[int, dict[str, float]]] = []
        self.held_out: dict[str, float] = {}
        self.floors: dict[str, float] = {}
        self._reference_of = ""
        self._held_out = Measured({}, 0)
        self._held_out_of = ("", 0)
        self._images = 0

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Fetch weights and measure real images, before anything is trained.

        Raises:
            FileNotFoundError: If a metric's weights are missing.
            ValueError: If there is no data module, or its images have no bounds and a metric
                compares pictures.
        """
        if stage not in STAGES or (stage == "fit" and not _validates(trainer)):
            return
        data = reference_data(trainer)
        self._refuse_pictures_of_fields(data)
        self._prepare_metrics(trainer)
        with _undisturbed(trainer):
            if self._reference_of != data.fingerprint:
                self._prepare_reference(trainer)
                self._reference_of = data.fingerprint
            self._measure_held_out(trainer, stage)

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self.at_start or not _validates(trainer) or _images_seen(pl_module) > 0:
            return
        trainer.print("measuring the untrained network")
        self._take_in_validation(trainer, pl_module)
        # `self.log` would keep the numbers until the epoch ends.
        measured = self._finish(trainer, pl_module, "val")
        _log_at_start(trainer, measured.named("val"))

    def measure_weights(self, trainer: L.Trainer, pl_module: L.LightningModule) -> Measured:
        """Return the metrics of images that are generated now, as many as a validation generates; collective."""
        self._take_in_validation(trainer, pl_module)
        return self._measure(trainer)

    def _take_in_validation(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        with _undisturbed(trainer), _evaluating(trainer, pl_module):
            for index, batch in enumerate(_validation_batches(trainer)):
                self._take_in(trainer, pl_module.validation_step(batch, index))

    @override
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if not trainer.sanity_checking:
            self._take_in(trainer, outputs)

    @override
    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self._take_in(trainer, outputs)

    @override
    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            _log(pl_module, self._finish(trainer, pl_module, "val"), "val")

    @override
    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        _log(pl_module, self._finish(trainer, pl_module, "test"), "test")

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"history": list(self.history)}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = [(seen, dict(values)) for seen, values in state_dict["history"]]

    def _refuse_pictures_of_fields(self, data: ReferenceData) -> None:
        for metric in self.metrics:
            if data.value_range is None and not metric.takes_floats:
                raise ValueError(
                    "evaluation.metrics must take fields for images without bounds, got "
                    f"{type(metric).__name__}, which compares pictures; name "
                    "wavelight.metrics.FieldDistance in its place"
                )

    def _prepare_metrics(self, trainer: L.Trainer) -> None:
        # One process of a machine comes first, so that weights are downloaded once.
        for first in (True, False):
            with refused_together():
                for metric in self.metrics if first == (trainer.local_rank == 0) else ():
                    metric.prepare()
        for metric in self.metrics:
            metric.to(trainer.strategy.root_device)

    def _prepare_reference(self, trainer: L.Trainer) -> None:
        """Give each metric its real statistics, from the cache or else from the real images."""
        images = _few_if_dev_run(trainer, self.reference_images)
        files = [
            statistics_file(reference_data(trainer), metric, images) for metric in self.metrics
        ]
        pairs = list(zip(self.metrics, files, strict=True))
        for metric in self.metrics:
            metric.reset()
        # Process 0 decides: the others may have another disk.
        known = trainer.strategy.broadcast(
            [trainer.is_global_zero and load_statistics(*pair) for pair in pairs]
        )
        missing = [pair for pair, found in zip(pairs, known, strict=True) if not found]
        if missing:
            self._measure_reference(trainer, missing, images)
        for metric, file in missing:
            metric.reset()
            # The processes are added up, so that only one may hold the statistics of all.
            if trainer.is_global_zero and not load_statistics(metric, file):
                raise OSError(f"the statistics in {file} were written and cannot be read again")

    def _measure_reference(
        self, trainer: L.Trainer, missing: list[tuple[ImageMetric, Path]], images: int | None
    ) -> None:
        for metric, _ in missing:
            metric.reset()
        loader = reference_data(trainer).reference_dataloader(images)
        for batch in with_progress(loader, "measuring real images"):
            update_metrics([metric for metric, _ in missing], batch["image"], True, trainer)
        for metric, file in missing:
            statistics = metric.real_statistics()
            if trainer.is_global_zero:
                save_statistics(statistics, file)
            trainer.print(f"real statistics of {type(metric).__name__} are kept in {file}")

    def _measure_held_out(self, trainer: L.Trainer, stage: str) -> None:
        """Measure held-out real images as if they had been generated, as many as will be generated."""
        data = reference_data(trainer)
        planned = data.test_images if stage == "test" else data.val_images
        images = _few_if_dev_run(trainer, planned)
        if not data.held_out_images or not images:
            return
        if self._held_out_of != (data.fingerprint, images):
            loader = data.held_out_dataloader(images)
            for batch in with_progress(loader, "measuring held-out images"):
                self._take_in(trainer, batch)
            self._held_out = self._measure(trainer)
            self._held_out_of = (data.fingerprint, images)
        measured = self._held_out
        self.held_out = measured.values
        named = measured.named(STAGES[stage], "_held_out")
        self.floors |= named
        trainer.print(f"held-out real images: {_line(named)}")

    def _take_in(self, trainer: L.Trainer, outputs: Any) -> None:
        if not isinstance(outputs, dict) or "image" not in outputs:
            raise ValueError(
                "validation_step and test_step must return a dictionary with the generated images as `image`, "
                f"got {type(outputs).__name__}"
            )
        images = outputs["image"]
        self._images += len(images)
        # Batches of a process may be empty, so that each has as many; few networks take that.
        if len(images):
            update_metrics(self.metrics, images, False, trainer)

    def _measure(self, trainer: L.Trainer) -> Measured:
        """Return the metrics of the images of all processes, and forget the images; collective."""
        images = int(total(torch.tensor(self._images, device=trainer.strategy.root_device)))
        values: dict[str, float] = {}
        for metric in self.metrics if images else ():
            found = {name: float(value) for name, value in metric.values().items()}
            if twice := values.keys() & found.keys():
                raise OptionError(
                    f"evaluation.metrics must each have names of its own, got {sorted(twice)[0]} of "
                    f"{type(metric).__name__} and of another: take its measure out of one"
                )
            values |= found
        for metric in self.metrics:
            metric.forget_generated()
        self._images = 0
        return Measured(values, images)

    def _finish(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> Measured:
        """Return the metrics of the generated images, and add them to the history and the output."""
        measured = self._measure(trainer)
        if measured.images:
            seen, named = _images_seen(pl_module), measured.named(stage)
            self.history.append((seen, named))
            floor = f"   (held-out real images: {_line(self.held_out)})" if self.held_out else ""
            trainer.print(f"after {seen:,} images: {_line(named)}{floor}")
        return measured


def short_count(images: int) -> str:
    """Return a number of images as it stands in the names of metrics, exactly.

    >>> [short_count(images) for images in (512, 2000, 2048, 2500, 50000)]
    ['512', '2k', '2048', '2500', '50k']
    """
    thousands, rest = divmod(images, 1000)
    return str(images) if rest else f"{thousands}k"


def _validates(trainer: L.Trainer) -> bool:
    return trainer.limit_val_batches != 0 and reference_data(trainer).val_images > 0


def _few_if_dev_run(trainer: L.Trainer, images: int | None) -> int | None:
    if not trainer.fast_dev_run:  # type: ignore[attr-defined]
        return images
    return FAST_DEV_RUN_IMAGES if images is None else min(images, FAST_DEV_RUN_IMAGES)


def _images_seen(pl_module: L.LightningModule) -> int:
    return int(cast(Any, pl_module).images_seen)


@contextmanager
def _undisturbed(trainer: L.Trainer) -> Iterator[None]:
    """Keep the global random state: a run must not depend on whether statistics were cached."""
    with isolate_rng(include_cuda=trainer.strategy.root_device.type == "cuda"):
        yield


@contextmanager
def _evaluating(trainer: L.Trainer, pl_module: L.LightningModule) -> Iterator[None]:
    """Do as the validation loop does: evaluation mode, no gradients, the run's precision."""
    training = [module for module in pl_module.modules() if module.training]
    pl_module.eval()
    try:
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            yield
    finally:
        for module in training:
            module.training = True


def _validation_batches(trainer: L.Trainer) -> Iterator[Any]:
    # As many as Lightning takes, which may be a share of them.
    limit = sum(trainer.num_val_batches)
    loader = reference_data(trainer).val_dataloader()
    for batch in itertools.islice(loader, limit if isinstance(limit, int) else None):
        yield trainer.strategy.batch_to_device(batch)


def _log(pl_module: L.LightningModule, measured: Measured, stage: str) -> None:
    # All processes have equal values already; without `sync_dist` Lightning warns of each one.
    for name, value in measured.named(stage).items():
        pl_module.log(name, value, sync_dist=True)
    for name, value in measured.values.items():
        pl_module.log(f"{stage}/{name}", value, logger=False, sync_dist=True)


def _log_at_start(trainer: L.Trainer, values: dict[str, float]) -> None:
    for logger in trainer.loggers if values else ():
        logger.log_metrics({**values, "images_seen": 0}, step=0)


def _line(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
