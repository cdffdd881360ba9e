"""``wavelight measure``: images of any model, measured as a run measures its own."""

from pathlib import Path

from wavelight.callbacks.evaluation import short_count
from wavelight.evaluation.image_sets import SameSize, holds_statistics, open_images, side_of
from wavelight.evaluation.measuring import (
    Measurement,
    data_of,
    measure_images,
    write_measurement,
)
from wavelight.metrics import FrechetWaveletDistance, ImageMetric, InceptionMetrics
from wavelight.metrics.inception import complete_inception
from wavelight.support.devices import find_device
from wavelight.support.errors import check_least
from wavelight.support.tables import markdown_table

_TAKE_OUT = "take it out, or resize all images as the model's authors do"
_RESIZE = "prepare the data at that size, or let real images be resized as in training with --resize_reference true"


def measure(
    folder: Path,
    *,
    reference: Path,
    metrics: list[ImageMetric] | None = None,
    weights: Path | None = None,
    images: int | None = None,
    batch_size: int = 64,
    resize_reference: bool = False,
    device: str | None = None,
    out: Path | None = None,
) -> str:
    """Measure a folder of generated images, of any model, against real images or against others' statistics.

    Metrics are those of a run. Images are measured as they are: all must be square and of one size, and real images
    of the same. Statistics of real images are kept beside these, so that they are measured once.

    Args:
        folder: Generated images: a folder or a zip of pictures, or an NPZ file that stacks them as arr_0.
        reference: What to compare with: a folder, a zip or prepared shards of real images, or a file of their
            statistics, an .npz of pytorch-fid or EDM, or an .npy of WaveDiff or DDGAN.
        metrics: Metrics to compute; by default InceptionMetrics where weights or statistics are given, and else the
            Fréchet wavelet distance.
        weights: torch-fidelity's file of Inception's weights, for InceptionMetrics.
        images: How many generated images are measured, a random choice that is always the same; by default all.
        batch_size: How many images are measured at once.
        resize_reference: Whether real images of other sizes are resized and cut as in training.
        device: The device: cpu, cuda, cuda:1, mps; by default a GPU if there is one.
        out: A JSON file for the values, which `wavelight report` reads.

    Returns:
        A table of the values.

    Raises:
        DataError: If there are no such images, or they differ in size.
        FileNotFoundError: If weights or statistics are missing.
        ValueError: If a value makes no sense.
    """
    check_least({"images": (images, 1), "batch_size": (batch_size, 1)})
    target = find_device(device)
    statistics = Path(reference) if holds_statistics(reference) else None
    by_inception = weights is not None or statistics is not None
    metrics = metrics or [InceptionMetrics() if by_inception else FrechetWaveletDistance()]
    complete_inception(metrics, weights, statistics)
    generated = SameSize(open_images(folder), _TAKE_OUT)
    side = side_of(generated)
    data, real = data_of(generated, side, batch_size), None
    if statistics is None:
        source = open_images(reference)
        source = source if resize_reference else SameSize(source, _RESIZE)
        real = data_of(source, side, batch_size)
    for metric in metrics:
        metric.prepare()
    count, values = measure_images(data, real, metrics, images, target)
    found = Measurement(str(folder), count, str(reference), values)
    if out is not None:
        write_measurement(Path(out), found)
    rows = [
        {"metric": f"{name}{short_count(count)}", "value": f"{value:.5g}"}
        for name, value in values.items()
    ]
    return "\n".join([f"{folder} against {reference}", "", *markdown_table(rows, ["metric"])])
