"""The statistics of the real images, measured once and kept."""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, cast

import lightning as L
import torch
from torch import Tensor

from wavelight.metrics.base import ImageMetric
from wavelight.support.files import draft_of
from wavelight.support.pictures import to_uint8

_log = logging.getLogger(__name__)


class ReferenceData(Protocol):
    """Interface of the data module for Evaluation; ``WaveletDataModule`` has it."""

    fingerprint: str
    cache_dir: Path
    value_range: tuple[float, float] | None
    held_out_images: int
    val_images: int
    test_images: int

    def reference_dataloader(self, images: int | None = None) -> Iterable[dict[str, Tensor]]:
        """Return this process's share of the real images, each exactly once over all processes."""

    def held_out_dataloader(self, images: int | None = None) -> Iterable[dict[str, Tensor]]:
        """Return this process's share of the held-out real images."""

    def val_dataloader(self) -> Iterable[dict[str, Tensor]]:
        """Return the numbers of the images to sample."""


def reference_data(trainer: L.Trainer) -> ReferenceData:
    """Return the trainer's data module.

    Raises:
        ValueError: If it has none.
    """
    data = cast(ReferenceData | None, trainer.datamodule)  # type: ignore[attr-defined]
    if data is None:
        raise ValueError(
            "datamodule must hold the real images that Evaluation compares with, got None; give "
            "one to the trainer's method"
        )
    return data


def update_metrics(
    metrics: list[ImageMetric], images: Tensor, real: bool, trainer: L.Trainer
) -> None:
    """Update metrics with images, as floats or as bytes, whichever each takes."""
    images = images.detach().to(trainer.strategy.root_device)
    value_range = reference_data(trainer).value_range
    # Data without bounds have no bytes, and setup has refused metrics that take them.
    pictures = images if value_range is None else to_uint8(images, value_range)
    for metric in metrics:
        metric.update(images if metric.takes_floats else pictures, real)


def statistics_file(data: ReferenceData, metric: ImageMetric, images: int | None) -> Path:
    """Return where the statistics of a metric's real images are kept."""
    key = "\n".join([data.fingerprint, metric.identity, "all" if images is None else str(images)])
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return Path(data.cache_dir) / f"real-{type(metric).__name__}-{digest}.pt"


def save_statistics(statistics: dict[str, Tensor], path: Path) -> None:
    """Write statistics, whole or not at all, if the run is killed meanwhile."""
    # Into an open file: by its name alone, PyTorch would call the archive after the draft.
    with draft_of(path) as draft, draft.open("wb") as file:
        torch.save({name: value.cpu() for name, value in statistics.items()}, file)


def load_statistics(metric: ImageMetric, path: Path) -> bool:
    """Give a metric the statistics that were kept, and say whether there were any that can be used."""
    if not path.is_file():
        return False
    metric.reset()
    try:
        metric.load_real_statistics(torch.load(path, map_location="cpu", weights_only=True))
    # A damaged file raises nearly anything, by the place of the damage: RuntimeError, KeyError, EOFError,
    # UnpicklingError, UnicodeDecodeError ...
    except Exception as error:
        metric.reset()
        reason = str(error).partition("\n")[0]
        _log.warning(
            "the statistics in %s cannot be used (%s), and are measured again", path, reason
        )
        return False
    return True
