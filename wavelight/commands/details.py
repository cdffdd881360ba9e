"""``wavelight details``: exposure bias, and the diversity of details at fixed LL bands."""

from pathlib import Path

from data_modules import WaveletDataModule
from wavelight.evaluation.comparison.runs import data_of_runs, read_runs
from wavelight.evaluation.details.diversity import diversity
from wavelight.evaluation.details.ensembles import Diversity
from wavelight.evaluation.details.exposure import Exposure, exposure
from wavelight.evaluation.details.held_out import held_out_counts, held_out_images
from wavelight.evaluation.details.pyramids import PyramidSystem, pyramid_system
from wavelight.evaluation.details.report import plot_details, report_details, write_details
from wavelight.evaluation.meter import Meter, default_metric, identities
from wavelight.metrics import ImageMetric, SplitWaveletDistance
from wavelight.support.errors import check_least
from wavelight.support.figures import empty_figure


def details(
    checkpoints: list[Path],
    images: int | None = None,
    bands: int | None = None,
    samples: int = 8,
    seed: int = 0,
    metrics: list[ImageMetric] | None = None,
    reference_images: int | None = None,
    batch_size: int = 64,
    device: str | None = None,
    out: Path | None = None,
    plot: Path | None = None,
    trust_code: bool = False,
) -> str:
    """Measure the details of a WSGM or Hybrid: exposure bias from generated LL bands, and diversity given LL.

    The first table is of exposure bias: images are generated as usual, and again with the coarsest band, and with the
    finer ones in turn, taken from real images that no training saw, and all compared with the training part. The rise
    of fwd_details when the coarsest band is generated is the effect of its errors on the details. As details
    depend on LL, even exact ones conditioned on wrong bands are distributed otherwise: the rise accuses the model
    of the details only as far as fwd_coarse is near that of real images. And distances of distributions do not see
    whether details fit the very LL that they were conditioned on; the second table does.

    The second table is of diversity, level by level: several samples conditioned on each true LL are
    compared with each other and with the true details. A spread-skill ratio of 1 is necessary for the right
    distribution and not sufficient: details generated regardless of LL have it, too, with an error of 1.

    EMA weights sample, and all checkpoints get the same images, bands and noise.

    Args:
        checkpoints: Checkpoints of WSGMs or Hybrids on the same data, one or several, or a glob, such as
            runs/*/checkpoints/last.ckpt; or exported ones (.safetensors).
        images: How many images are generated for a row of the first table; by default as many as the
            held-out split has, which is also the most.
        bands: Number of held-out images whose LL the second table uses; by default 256, or as many as
            there are.
        samples: How many samples of the details are conditioned on each of them, at least 2.
        seed: The seed of all samples.
        metrics: Metrics of the first table beside fwd_coarse and fwd_details; by default the Fréchet wavelet
            distance, and the distances of fields where values are unbounded.
        reference_images: How many real images to compare with; by default the whole training part.
        batch_size: How many images are generated at once.
        device: The device: cpu, cuda, cuda:1, mps; by default a GPU if there is one.
        out: A JSON file for all numbers, rewritten after each checkpoint.
        plot: A PNG, PDF or SVG for a figure of a few held-out images: the coarsest band, the image, samples
            conditioned on that band, and their standard deviation; it needs matplotlib.
        trust_code: Whether the checkpoints may name any class, and so run code of their own.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If a value makes no sense, a system samples no details given LL, the data hold
            no images out or differ between checkpoints, or there is no matplotlib to draw with.
    """
    check_least(
        {
            "images": (images, 2),
            "bands": (bands, 2),
            "samples": (samples, 2),
            "batch_size": (batch_size, 1),
            "reference_images": (reference_images, 2),
        }
    )
    figure = None if plot is None else empty_figure(plot, 11, 4)
    runs = read_runs([Path(path) for path in checkpoints], trust_code)
    systems = [pyramid_system(run) for run in runs]
    data = data_of_runs(runs, {"eval_batch_size": batch_size})
    images, bands = held_out_counts(data, images, bands)
    data.val_images = images
    true = held_out_images(data, max(images, bands))
    metrics = metrics or [default_metric(data)]
    conditions = {
        "data": data.fingerprint,
        "images": images,
        "metrics": identities(metrics),
        "reference_images": reference_images,
        "bands": bands,
        "samples": samples,
        "seed": seed,
    }
    exposed: list[Exposure] = []
    diverse: list[Diversity] = []
    for system in systems:
        all_metrics = [*metrics, *_split_metrics(data, system)]
        meter = Meter(data, all_metrics, reference_images, device)
        exposed += exposure(system, true[:images], meter, seed)
        system.generator.to(meter.device)
        diverse += diversity(system, true[:bands], samples, seed, batch_size)
        if out is not None:
            write_details(Path(out), conditions, systems, exposed, diverse)
    if figure is not None and plot is not None:
        plot_details(figure, systems, true[:bands], samples, seed, Path(plot))
    return report_details(conditions, exposed, diverse)


def _split_metrics(data: WaveletDataModule, system: PyramidSystem) -> list[ImageMetric]:
    """Return metrics that separate errors of LL from those of the details; for fields, spectra do."""
    if data.value_range is None:
        return []
    return [SplitWaveletDistance(system.pyramid.levels, data.image_size)]
