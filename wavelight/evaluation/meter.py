"""Measuring what is generated outside of a run as a run does: for commands that take trained systems."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from data_modules import WaveletDataModule
from wavelight.callbacks import Evaluation
from wavelight.callbacks.evaluation import short_count
from wavelight.metrics import FieldDistance, FrechetWaveletDistance, ImageMetric
from wavelight.support.devices import find_device
from wavelight.training.trainer import Trainer


def default_metric(data: WaveletDataModule) -> ImageMetric:
    """Return what tells most of such data without other files: distances of pictures, or of fields."""
    return FieldDistance() if data.value_range is None else FrechetWaveletDistance()


def identities(metrics: Iterable[ImageMetric]) -> list[str]:
    """Prepare metrics, and return what the values of each depend on beside the images.

    Raises:
        FileNotFoundError: If weights are missing.
    """
    found = []
    for metric in metrics:
        # Only then does it know the identity of its weights.
        metric.prepare()
        found.append(f"{type(metric).__name__}: {metric.identity}")
    return found


class Meter:
    """Measures the images that validation steps sample.

    Args:
        data: Real images, and the numbers of those to sample.
        metrics: Metrics to compute.
        reference_images: How many real images to compare with; none takes all.
        device: The device: cpu, cuda, cuda:1, mps; none takes a GPU if there is one.
        devices: How many devices of that kind.
        callbacks: Functions called at each batch before it is measured.

    Raises:
        ValueError: If there are no such devices.
    """

    def __init__(
        self,
        data: WaveletDataModule,
        metrics: list[ImageMetric],
        reference_images: int | None,
        device: str | None,
        devices: int = 1,
        callbacks: Sequence[L.Callback] = (),
    ) -> None:
        self.data = data
        self._evaluation = Evaluation(metrics, reference_images)
        accelerator, those = _in_lightning(device, devices)
        try:
            self._trainer = Trainer(
                accelerator=accelerator,
                devices=those,
                callbacks=[*callbacks, self._evaluation],
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=sys.stderr.isatty(),
                use_distributed_sampler=False,
            )
        except MisconfigurationException as error:
            raise ValueError(str(error)) from error

    @property
    def device(self) -> torch.device:
        """The device on which this process samples."""
        return self._trainer.strategy.root_device

    @property
    def held_out(self) -> dict[str, float]:
        """The values of real images that no training saw, known after :meth:`values`; empty where there are none."""
        return dict(self._evaluation.held_out)

    def values(self, module: L.LightningModule) -> dict[str, float]:
        """Return what was measured of a module's images, by metric."""
        # What a command prints is its tables alone.
        with redirect_stdout(sys.stderr):
            L.Trainer.validate(self._trainer, module, datamodule=self.data, verbose=False)
        count = short_count(self.data.val_images)
        return {
            name.removeprefix("val/").removesuffix(count): value
            for name, value in self._evaluation.history[-1][1].items()
        }


def _in_lightning(device: str | None, count: int) -> tuple[str, int | list[int]]:
    """Return the accelerator and the devices that Lightning is to take."""
    if count > 1:
        # Each process finds its own: a tensor here would lie on the first.
        return device or "auto", count
    found = find_device(device)
    return found.type, 1 if found.index is None else [found.index]
