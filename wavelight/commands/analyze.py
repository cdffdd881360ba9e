"""``wavelight analyze``: how white, Gaussian and sparse the bands of a data set are."""

from pathlib import Path

import torch

from data_modules import ShardStream, Source
from wavelight.evaluation.bands import Normalization, analyze_pyramid
from wavelight.evaluation.bands.curves import plot_bands
from wavelight.evaluation.bands.images import read_images
from wavelight.evaluation.bands.report import log_to_wandb, report_bands, write_bands
from wavelight.support.errors import check_least
from wavelight.support.faults import GoingOn
from wavelight.support.figures import empty_figure, save_figure
from wavelight.wavelets import filter_length

_REPLICATES = 200


def analyze(
    *,
    source: Source | ShardStream,
    image_size: int,
    levels: int,
    images: int = 2000,
    wavelet: str = "haar",
    seed: int = 0,
    out: Path | None = None,
    plot: Path | None = None,
    wandb_project: str | None = None,
) -> str:
    """Measure the bands of a data set, level by level: whiteness of LL, Gaussianity and sparsity of details given LL.

    Prints tables: condition number and KL per dimension to white of LL; kurtosis, negentropy and
    sliced Wasserstein distance to the fitted Gaussian of LL and of the details; Gini index, Hoyer's
    measure and share of small values of the details. Those of the details are given for the details
    alone and given LL, where they tell whether conditioning makes them more Gaussian (WSGM), or keeps
    them sparse (the hybrid).

    Args:
        source: The images: any source class, such as ``Shards``, with its options, like
            ``--source.path``.
        image_size: Height and width in pixels, at least 4 times 2^levels and divisible by 2^levels.
        levels: How often LL is split.
        images: How many to measure, the first of one random order (of a stream, the first that
            come); all if there are fewer. They are held in memory, some 40 bytes a value.
        wavelet: An orthogonal wavelet of PyWavelets, such as haar, db4 or sym5; all but haar join
            opposite borders of an image, which shows in its details.
        seed: The seed of the half on which predictions are fitted, of patches and bootstrap samples.
        out: A JSON file for all numbers, the histograms' among them.
        plot: A PNG, PDF or SVG for a figure of the measures against the level, and histograms of the details; it
            needs matplotlib.
        wandb_project: Log the measures, and the figure if there is one, to this project at W&B;
            offline where W&B cannot be reached.

    Returns:
        Markdown tables, and what they say.

    Raises:
        ValueError: If a value makes no sense, there are too few images, or there is no matplotlib to
            draw with.
    """
    _check(image_size, levels, images, wavelet)
    figure = None if plot is None else empty_figure(plot, 15, 7)
    pixels = read_images(source, image_size, images)
    generator = torch.Generator().manual_seed(seed)
    normalization = Normalization.of(pixels)
    normalised = normalization.apply(pixels)
    rows = list(analyze_pyramid(normalised, wavelet, levels, _REPLICATES, generator))
    conditions = {
        "images": len(pixels),
        "image_size": image_size,
        "channels": pixels.shape[1],
        "wavelet": wavelet,
        "seed": seed,
        "mean": normalization.mean.tolist(),
        "std": float(normalization.std),
        "source": source.description,
    }
    if out is not None:
        write_bands(Path(out), conditions, rows)
    if figure is not None and plot is not None:
        plot_bands(rows, figure, f"{len(pixels)} images of {image_size} pixels, {wavelet}")
        save_figure(figure, Path(plot))
    if wandb_project is not None:
        with GoingOn("logging to W&B", "the numbers are printed").despite_faults():
            log_to_wandb(wandb_project, conditions, rows, figure)
    return report_bands(conditions, rows)


def _check(image_size: int, levels: int, images: int, wavelet: str) -> None:
    import pywt

    check_least({"levels": (levels, 1), "images": (images, 1), "image_size": (image_size, 1)})
    if image_size % 2**levels:
        raise ValueError(
            f"image_size must be divisible by 2**levels = {2**levels}, got {image_size}"
        )
    taps = filter_length(wavelet)
    if wavelet != "haar" and not pywt.Wavelet(wavelet).orthogonal:
        raise ValueError(
            "wavelet must be orthogonal (another would not keep white noise white), got "
            f"{wavelet!r}"
        )
    shortest = image_size >> (levels - 1)
    if taps > shortest:
        raise ValueError(
            f"wavelet {wavelet!r} has {taps} taps, more than the side of {shortest} that level "
            f"{levels} splits: lower levels"
        )
