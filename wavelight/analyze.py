"""Whiteness, Gaussianity and sparsity of the bands of a data set: ``python -m wavelight analyze``."""

import json
from collections.abc import Sequence
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from data_modules import ShardStream, Source, WaveletDataModule
from wavelight.analysis import (
    MEASURES,
    Interval,
    Level,
    Normalization,
    Whitening,
    analyze_pyramid,
    condition_floor,
)
from wavelight.analysis.curves import draw
from wavelight.errors import check_least
from wavelight.figures import empty_figure, save_figure
from wavelight.timing import markdown_table
from wavelight.wavelets import filter_length

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_REPLICATES = 200

_BATCH = 64

_CONDITIONS = (
    "{images} images of {image_size}x{image_size}, channels {channels}, wavelet {wavelet}, seed {seed}. The data "
    "set's mean of each channel was removed, and all was divided by one number, the standard deviation of pixels."
)
_WHITENING = (
    "How far a Gaussian fitted to LL is from white: that is conditioning, not Gaussianity. KL/d: of N(0, I) to "
    "N(mu, S), in nats; unit: after LL was divided to unit mean variance. S is block-diagonal in the spectrum named, "
    "where LL counts as stationary; grey: of the mean of its channels; whole: the sample covariance of all of LL, from "
    "10 images per dimension on (in parentheses: what white noise of as many images would show)."
)
_GAUSSIANITY = (
    "How far LL itself is from Gaussian: single coefficients, and patches of 2x2 (Wasserstein)."
)
_DETAILS = (
    "Details alone, and given LL: linear, less their linear prediction from 3x3 of LL; scaled, also divided by the "
    "standard deviation predicted from there. Predictions were fitted on the other half of the images. In brackets: "
    "95 % intervals by bootstrap over images. A Gaussian has the value of the last column; larger is less Gaussian, or "
    "sparser. Explained: the share of variance that the linear prediction takes away."
)


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
        source: Where images come from: any source class, such as ``Shards``, with its options, like
            ``--source.path``.
        image_size: Height and width in pixels, at least 4 times 2^levels and divisible by 2^levels.
        levels: How often LL is split.
        images: How many to measure, the first of one random order (of a stream, the first that
            come); all if there are fewer. They are held in memory, some 40 bytes a value.
        wavelet: An orthogonal wavelet of PyWavelets, such as haar, db4 or sym5; all but haar join
            opposite borders of an image, which shows in its details.
        seed: Chooses the half on which predictions are fitted, patches and bootstrap samples.
        out: A JSON file for all numbers, the histograms' among them.
        plot: A PNG to draw the measures against the level into, and histograms of the details; it
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
    figure = None if plot is None else empty_figure(15, 7)
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
        _write(Path(out), conditions, rows)
    if figure is not None and plot is not None:
        draw(rows, figure, f"{len(pixels)} images of {image_size} pixels, {wavelet}")
        save_figure(figure, Path(plot))
    if wandb_project is not None:
        _log(wandb_project, conditions, rows, figure)
    return report(conditions, rows)


def read_images(source: Source | ShardStream, image_size: int, images: int) -> Tensor:
    """Read images of a source, ``(N, C, H, W)`` float32 in the source's range.

    Args:
        source: Where they come from.
        image_size: Height and width.
        images: How many at most.

    Raises:
        DataError: If the source cannot be used.
    """
    data = WaveletDataModule(source, image_size, _BATCH, num_workers=0, eval_batch_size=_BATCH)
    data.prepare_data()
    data.setup()
    # A stream has no random order of its own, and no known end.
    chosen = images if isinstance(source, Source) else None
    batches = (batch["image"] for batch in data.reference_dataloader(chosen))
    return torch.cat(list(islice(batches, -(-images // _BATCH))))[:images]


def report(conditions: dict[str, Any], rows: Sequence[Level]) -> str:
    """Return all tables with their captions, and what the differences say, as Markdown."""
    return "\n".join(
        [
            _CONDITIONS.format(**conditions),
            "",
            "## LL",
            "",
            _WHITENING,
            "",
            *markdown_table([_whitening_row(row, conditions["images"]) for row in rows]),
            "",
            _GAUSSIANITY,
            "",
            *markdown_table([_coarse_row(row) for row in rows]),
            "",
            "## Details",
            "",
            _DETAILS,
            "",
            *markdown_table([cells for row in rows[1:] for cells in _details_rows(row)]),
            "",
            "Given LL against alone, where the interval of the difference leaves no doubt:",
            "",
            *_findings(rows[1:]),
        ]
    )


def _whitening_row(row: Level, images: int) -> dict[str, str]:
    whole = row.covariance
    floor = "" if whole is None else f" ({condition_floor(images, row.dimension):.2f})"
    return {
        "level": str(row.level),
        "side": str(row.side),
        "d": str(row.dimension),
        "spectrum": row.spectrum.estimate.removesuffix(" spectrum"),
        "log10 kappa": f"{row.spectrum.log10_condition:.2f}",
        "KL/d": _three_digits(row.spectrum.kl),
        "KL/d unit": _three_digits(row.spectrum.kl_unit),
        "grey: log10 kappa": f"{row.grey.log10_condition:.2f}",
        "grey: KL/d unit": _three_digits(row.grey.kl_unit),
        "whole: log10 kappa": "-" if whole is None else f"{whole.log10_condition:.2f}{floor}",
        "whole: KL/d": "-" if whole is None else _three_digits(whole.kl),
        "whole: KL/d unit": "-" if whole is None else _three_digits(whole.kl_unit),
    }


def _coarse_row(row: Level) -> dict[str, str]:
    names = ("kurtosis", "negentropy", "wasserstein")
    shown = {MEASURES[name].title: _interval(row.coarse[name]) for name in names}
    return {"level": str(row.level), **shown}


def _details_rows(row: Level) -> list[dict[str, str]]:
    explained = "-" if row.explained is None else f"{row.explained:.3f}"
    return [
        {
            "level": str(row.level),
            "explained": explained,
            "measure": measure.title,
            **{kind: _interval(values[name]) for kind, values in row.details.items()},
            **{
                f"{kind} - marginal": _interval(values[name])
                for kind, values in row.differences.items()
            },
            "Gaussian": f"{measure.gaussian:.3g}",
        }
        for name, measure in MEASURES.items()
    ]


def _findings(rows: Sequence[Level]) -> list[str]:
    """Say at which levels each measure is smaller or larger given LL."""
    lines = []
    for name, measure in MEASURES.items():
        for kind in rows[0].differences:
            found = [(row.level, row.differences[kind][name]) for row in rows]
            groups = {
                "smaller": [level for level, interval in found if interval.high < 0],
                "larger": [level for level, interval in found if interval.low > 0],
                "undecided": [
                    level for level, interval in found if interval.low <= 0 <= interval.high
                ],
            }
            said = "; ".join(
                f"{word} at level{'s' if len(levels) > 1 else ''} {', '.join(map(str, levels))}"
                for word, levels in groups.items()
                if levels
            )
            lines.append(f"- {measure.title}, {kind}: {said}.")
    return lines


def _interval(interval: Interval) -> str:
    value, low, high = map(_three_digits, interval)
    return f"{value} [{low}, {high}]"


def _three_digits(number: float) -> str:
    if abs(number) >= 100:
        return f"{number:.0f}"
    return f"{number:.4f}" if abs(number) < 0.1 else f"{number:.3g}"


def _check(image_size: int, levels: int, images: int, wavelet: str) -> None:
    import pywt

    check_least({"levels": (levels, 1), "images": (images, 1), "image_size": (image_size, 1)})
    if image_size % 2**levels:
        raise ValueError(f"image_size {image_size} is not divisible by 2**levels = {2**levels}")
    taps = filter_length(wavelet)
    if wavelet != "haar" and not pywt.Wavelet(wavelet).orthogonal:
        raise ValueError(f"wavelet {wavelet!r} is not orthogonal, so it would change what is white")
    shortest = image_size >> (levels - 1)
    if taps > shortest:
        raise ValueError(
            f"wavelet {wavelet!r} has {taps} taps, and level {levels} splits a side of {shortest}"
        )


# --- JSON and W&B ---


def _write(path: Path, conditions: dict[str, Any], rows: Sequence[Level]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"conditions": conditions, "levels": [_plain(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """Return named tuples as dictionaries, and null for numbers that are not finite."""
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def _log(
    project: str, conditions: dict[str, Any], rows: Sequence[Level], figure: "Figure | None"
) -> None:
    import wandb

    from wavelight.loggers import WandbLogger

    run = WandbLogger(project).experiment
    run.config.update({"analyze": conditions})
    run.define_metric("*", step_metric="level")
    for row in rows:
        run.log({"level": row.level, **_flat(row)})
    if figure is not None:
        run.log({"analyze": wandb.Image(figure)})
    run.finish()


def _flat(row: Level) -> dict[str, float]:
    """Return the values of a level by names like details/linear/kurtosis."""
    flat: dict[str, float] = {}
    whitenings = {"spectrum": row.spectrum, "grey": row.grey, "covariance": row.covariance}
    for name, whitening in whitenings.items():
        flat |= {} if whitening is None else _whitening_numbers(name, whitening)
    flat |= {f"LL/{name}": interval.value for name, interval in row.coarse.items()}
    for kind, values in row.details.items():
        flat |= {f"details/{kind}/{name}": interval.value for name, interval in values.items()}
    for kind, values in row.differences.items():
        flat |= {f"difference/{kind}/{name}": each.value for name, each in values.items()}
    return flat


def _whitening_numbers(name: str, whitening: Whitening) -> dict[str, float]:
    numbers = ("log10_condition", "kl", "kl_unit")
    return {f"LL/{name}/{number}": getattr(whitening, number) for number in numbers}
