"""Measuring images that lie in files, of any model, as a run measures its own."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from data_modules import WaveletDataModule
from data_modules.source import Source
from wavelight.callbacks.reference import (
    ReferenceData,
    load_statistics,
    save_statistics,
    statistics_file,
)
from wavelight.metrics import ImageMetric
from wavelight.support.files import write_json
from wavelight.support.pictures import to_uint8
from wavelight.support.progress import with_progress

_FEW = 1000
"""Of so many images, processes that read them cost more time than they save."""


@dataclass
class Measurement:
    """Values of the images of a folder, by metric."""

    folder: str
    images: int
    """How many were measured."""
    reference: str
    values: dict[str, float]


def write_measurement(path: Path, measurement: Measurement) -> None:
    """Write a measurement as JSON, as ``wavelight report`` reads it."""
    write_json(path, {"measured": asdict(measurement)})


def data_of(source: Source, side: int, batch_size: int) -> WaveletDataModule:
    """Return the images of a source at one size, in batches.

    Args:
        source: The images.
        side: Height and width in pixels.
        batch_size: How many are read at once.
    """
    workers = 0 if len(source) <= _FEW else 2
    return WaveletDataModule(
        source, side, batch_size, num_workers=workers, eval_batch_size=batch_size
    )


def measure_images(
    generated: WaveletDataModule,
    real: WaveletDataModule | None,
    metrics: list[ImageMetric],
    images: int | None,
    device: torch.device,
) -> tuple[int, dict[str, float]]:
    """Return the number of images that were measured, and the values by metric.

    Args:
        generated: The images.
        real: Real images, whose statistics are kept in their cache; none where all metrics are given them.
        metrics: Prepared metrics.
        images: How many are measured, a random choice that is always the same; none takes all.
        device: The device of the metrics.
    """
    for metric in metrics:
        metric.to(device)
        _take_reference(metric, real, device)
    count = 0
    for batch in _batches(generated, images, "measuring generated images", device):
        count += len(batch)
        for metric in metrics:
            _update(metric, batch, real=False)
    values = {name: float(value) for metric in metrics for name, value in metric.values().items()}
    return count, values


def _take_reference(
    metric: ImageMetric, real: WaveletDataModule | None, device: torch.device
) -> None:
    given = metric.given_statistics()
    if given is not None:
        metric.load_real_statistics(given)
        return
    assert real is not None
    file = statistics_file(cast(ReferenceData, real), metric, None)
    if not load_statistics(metric, file):
        for batch in _batches(real, None, "measuring real images", device):
            _update(metric, batch, real=True)
        save_statistics(metric.real_statistics(), file)


def _update(metric: ImageMetric, images: Tensor, real: bool) -> None:
    metric.update(images if metric.takes_floats else to_uint8(images), real)


def _batches(
    data: WaveletDataModule, images: int | None, description: str, device: torch.device
) -> Iterable[Tensor]:
    loader: Iterable[dict[str, Any]] = data.reference_dataloader(images)
    for batch in with_progress(loader, description):
        yield batch["image"].to(device)
