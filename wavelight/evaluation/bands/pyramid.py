"""All measures of a data set's pyramid, level by level: of LL, and of details alone and given LL."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from wavelight.evaluation.bands.conditioning import (
    detail_shifts,
    fit_linear,
    fit_scale,
    interior,
    neighbourhoods,
)
from wavelight.evaluation.bands.gaussianity import excess_kurtosis, negentropy, sliced_wasserstein
from wavelight.evaluation.bands.histogram import BIN_VALUES, bin_counts, resample
from wavelight.evaluation.bands.sparsity import gini, hoyer, small_share
from wavelight.evaluation.bands.whitening import Whitening, whiten_by_covariance, whiten_by_spectrum
from wavelight.wavelets import DETAIL_BANDS, dwt2

KINDS = ("marginal", "linear", "scaled")
"""Details as they are; less their linear prediction from LL; and divided by the scale expected from LL."""

SMALLEST_SIDE = 4
"""Smallest side of a band: without its border there is a patch left."""

LEAST_IMAGES = 20
"""Fewest images that can be resampled."""

PLACES_PER_INPUT = 10
"""Fewest places for each input of a prediction, at the coarsest level and in the half that is fitted."""

HISTOGRAM_RANGE = 15.0
"""Range of the histograms to look at, in standard deviations, on both sides of 0."""

HISTOGRAM_BINS = 151

_SIDE_OF_NEIGHBOURHOOD = 3
_FIT_PLACES = 100_000
_PATCHES = 4096
_PATCH_SIDE = 2
_DIRECTIONS = 32
_IMAGES_AT_ONCE = 64
_LEVEL_OF_INTERVALS = 0.95


class Measure(NamedTuple):
    """A number that tells Gaussian or dense values from others."""

    title: str
    gaussian: float
    """Its value for a Gaussian; all measures are larger for what is less Gaussian or sparser."""

    of: Callable[[Tensor, Tensor], Tensor] | None
    """Given values ``(V,)`` and weights ``(..., V)``; none for that of patches."""


MEASURES = {
    "kurtosis": Measure("excess kurtosis", 0.0, excess_kurtosis),
    "negentropy": Measure("negentropy, nats", 0.0, negentropy),
    "wasserstein": Measure("sliced Wasserstein-2", 0.0, None),
    "gini": Measure("Gini index", 0.4142, gini),
    "hoyer": Measure("Hoyer sparsity", 0.2021, hoyer),
    "small": Measure("share below 0.1 std", 0.0797, small_share),
}


class Interval(NamedTuple):
    """A number, and the range in which it would lie for 95 of 100 sets of images like these."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, replicates: Tensor) -> "Interval":
        """Make one of the number itself and its bootstrap replicates, ``(1 + B,)``.

        The quantiles of the replicates are shifted by what their median differs from the number:
        distances and negentropy cannot be negative, so in a resample they are larger.
        """
        tail = (1 - _LEVEL_OF_INTERVALS) / 2
        value = float(replicates[0])
        shares = replicates.new_tensor([tail, 0.5, 1 - tail])
        low, middle, high = replicates[1:].quantile(shares).tolist()
        return cls(value, value + low - middle, value + high - middle)


class LevelMeasures(NamedTuple):
    """Measures of one level; level 0 are the pixels, which have no details."""

    level: int
    side: int
    """Side of LL, in pixels."""

    dimension: int
    """Number of values of LL, over all channels."""

    spectrum: Whitening
    """Whitening of LL, taken for stationary."""

    grey: Whitening
    """Whitening of the mean of LL's channels: without the correlation of colours."""

    covariance: Whitening | None
    """Whitening of LL by its whole covariance; None where there are too few images for that."""

    explained: float | None
    """The share of the details' variance that the linear prediction from LL explains, where it was not
    fitted, the mean over channels; None at level 0."""

    coarse: dict[str, Interval]
    """Measures of LL, by name."""

    details: dict[str, dict[str, Interval]]
    """The measures of the details, by kind; empty at level 0."""

    differences: dict[str, dict[str, Interval]]
    """By kind, of details given LL less marginal, from the same bootstrap samples."""

    densities: dict[str, list[float]]
    """By kind, of the standardised details in ``HISTOGRAM_BINS`` equal bins over +-``HISTOGRAM_RANGE``."""


class Normalization(NamedTuple):
    """Normalization of images before all else: their mean intensity and their dynamic range.

    Both are those of the data set, not of each image: images whose own mean is 0 have a covariance
    that cannot be inverted.
    """

    mean: Tensor
    """Mean of each channel over all images and places, ``(C,)``."""

    std: Tensor
    """Standard deviation of all values about those means; one number, so the colours keep their proportions."""

    @classmethod
    def of(cls, images: Tensor) -> "Normalization":
        """Measure images ``(N, C, H, W)``."""
        mean = images.mean((0, 2, 3), dtype=torch.float64)
        squares = images.square().mean((0, 2, 3), dtype=torch.float64)
        return cls(mean.float(), (squares - mean.square()).mean().clamp(min=0).sqrt().float())

    def apply(self, images: Tensor) -> Tensor:
        """Return images with these removed.

        Raises:
            ValueError: If all images are constant.
        """
        if not self.std > 0:
            raise ValueError("the images are constant; there is nothing to measure")
        return (images - self.mean[:, None, None]) / self.std


def analyze_pyramid(
    images: Tensor,
    wavelet: str,
    levels: int,
    replicates: int,
    generator: torch.Generator,
) -> Iterator[LevelMeasures]:
    """Measure a pyramid's levels, from the pixels on.

    Predictions of details from LL are fitted on one random half of the images, and all measures but
    whitening are those of the other half. Each channel of a band is brought to mean 0 and
    variance 1, then all channels and places but the border count as one distribution (in the patches
    of 2x2 places, channels stay apart).

    Args:
        images: ``(N, C, H, W)``, normalised.
        wavelet: A name that :func:`wavelight.wavelets.dwt2` knows.
        levels: How often LL is split.
        replicates: Bootstrap samples of the images, for the intervals.
        generator: Chooses halves, places, patches, directions and bootstrap samples.

    Raises:
        ValueError: If bands are too small, images too few, or a band has a channel that is constant.
    """
    _check(images, levels)
    order = torch.randperm(len(images), generator=generator)
    fitted, measured = order.tensor_split(2)
    counts = resample(len(measured), replicates, generator)
    coarse = images
    for level in range(levels + 1):
        details = None
        if level:
            coarse, details = _split(coarse, wavelet)
        kinds = {}
        explained = None
        if details is not None:
            kinds = _residuals(coarse, details, fitted, measured, generator)
            explained = _explained(kinds["marginal"], kinds["linear"])
        found = {}
        densities = {}
        for kind in [name for name in KINDS if name in kinds]:
            band = _standardised(kinds.pop(kind), f"the details of level {level}")
            found[kind] = _measures(band, counts, generator)
            densities[kind] = _density(band)
        coarse_band = _standardised(interior(coarse[measured]), f"LL of level {level}")
        yield LevelMeasures(
            level,
            coarse.shape[-1],
            coarse[0].numel(),
            whiten_by_spectrum(coarse),
            whiten_by_spectrum(coarse.mean(1, keepdim=True)),
            whiten_by_covariance(coarse),
            explained,
            _intervals(_measures(coarse_band, counts, generator)),
            {kind: _intervals(values) for kind, values in found.items()},
            {
                kind: _intervals(
                    {name: found[kind][name] - found["marginal"][name] for name in MEASURES}
                )
                for kind in found
                if kind != "marginal"
            },
            densities,
        )


def _check(images: Tensor, levels: int) -> None:
    number, channels, *sides = images.shape
    smallest = min(sides) >> levels
    if smallest < SMALLEST_SIDE:
        raise ValueError(
            f"levels = {levels} leaves an LL band of side {smallest}, where neighbourhoods need "
            f"at least {SMALLEST_SIDE}: lower levels"
        )
    inputs = _SIDE_OF_NEIGHBOURHOOD**2 * channels + 1
    places = (smallest - 2) ** 2
    least = max(LEAST_IMAGES, -(-2 * PLACES_PER_INPUT * inputs // places))
    if number < least:
        raise ValueError(f"images must be at least {least} for {levels} levels, got {number}")


def _split(coarse: Tensor, wavelet: str) -> tuple[Tensor, Tensor]:
    """Return LL and the details, each detail at the place in LL that it belongs to."""
    pairs = [dwt2(batch, wavelet) for batch in coarse.split(_IMAGES_AT_ONCE)]
    bands = torch.cat([pair[1] for pair in pairs]).chunk(DETAIL_BANDS, dim=1)
    moved = [
        band.roll(shift, dims=(2, 3))
        for band, shift in zip(bands, detail_shifts(wavelet), strict=True)
    ]
    return torch.cat([pair[0] for pair in pairs]), torch.cat(moved, dim=1)


def _residuals(
    coarse: Tensor, details: Tensor, fitted: Tensor, measured: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the measured images' details without their border, by kind, ``(N', 3C, H-2, W-2)`` each."""
    places = _FIT_PLACES // len(fitted) + 1
    fit_details, fit_around = [], []
    for batch in fitted.split(_IMAGES_AT_ONCE):
        values, around = _pairs(coarse[batch], details[batch])
        chosen = torch.randint(len(values), (places * len(batch),), generator=generator)
        if len(values) <= len(chosen):
            chosen = torch.arange(len(values))
        fit_details.append(values[chosen])
        fit_around.append(around[chosen])
    values, around = torch.cat(fit_details), torch.cat(fit_around)
    linear = fit_linear(values, around)
    residual = linear.residual(values, around)
    _check_varies(residual, "what LL does not predict of the details")
    local = fit_scale(residual, around)
    kinds: dict[str, list[Tensor]] = {kind: [] for kind in KINDS}
    for batch in measured.split(_IMAGES_AT_ONCE):
        values, around = _pairs(coarse[batch], details[batch])
        rest = linear.residual(values, around)
        whole = interior(details[batch])
        for kind, band in zip(KINDS, (values, rest, rest / local.scale(around)), strict=True):
            shaped = band.view(len(whole), *whole.shape[2:], -1).permute(0, 3, 1, 2)
            kinds[kind].append(shaped.float())
    return {kind: torch.cat(bands) for kind, bands in kinds.items()}


def _explained(marginal: Tensor, residual: Tensor) -> float:
    left = residual.var((0, 2, 3)) / marginal.var((0, 2, 3))
    return float((1 - left).mean())


def _pairs(coarse: Tensor, details: Tensor) -> tuple[Tensor, Tensor]:
    """Return details ``(P, 3C)`` and their neighbourhoods in LL ``(P, C, 9)``."""
    return interior(details).permute(0, 2, 3, 1).flatten(0, 2), neighbourhoods(coarse)


def _standardised(band: Tensor, name: str) -> Tensor:
    """Bring each channel to mean 0 and variance 1 over all images and places."""
    values = band.transpose(0, 1).flatten(1).double()
    _check_varies(values.T, name)
    mean, std = values.mean(1).float(), values.std(1, correction=0).float()
    return (band - mean[:, None, None]) / std[:, None, None]


def _check_varies(values: Tensor, name: str) -> None:
    # Relative to 1, the standard deviation of pixels.
    if not (values.std(0) > 1e-6).all():
        raise ValueError(f"{name} are the same in all images in some channel; nothing to measure")


def _measures(band: Tensor, counts: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Return the measures of a standardised band and their bootstrap replicates, ``(1 + B,)`` each."""
    weights = counts @ bin_counts(band)
    patches, per_image = _patches(band, generator)
    directions = torch.randn(_DIRECTIONS, patches.shape[1], generator=generator)
    return {
        name: sliced_wasserstein(patches, directions, counts.repeat_interleave(per_image, dim=1))
        if measure.of is None
        else measure.of(BIN_VALUES, weights)
        for name, measure in MEASURES.items()
    }


def _patches(band: Tensor, generator: torch.Generator) -> tuple[Tensor, int]:
    """Return patches ``(M, 4 channels)``, image by image, from random places, and how many of each image."""
    images, _, height, width = band.shape
    each = -(-_PATCHES // images)
    owner = torch.arange(images).repeat_interleave(each)
    top = torch.randint(height - _PATCH_SIDE + 1, owner.shape, generator=generator)
    left = torch.randint(width - _PATCH_SIDE + 1, owner.shape, generator=generator)
    steps = [(row, column) for row in range(_PATCH_SIDE) for column in range(_PATCH_SIDE)]
    parts = [band[owner, :, top + row, left + column] for row, column in steps]
    return torch.cat(parts, dim=1), each


def _density(band: Tensor) -> list[float]:
    counts = band.histc(HISTOGRAM_BINS, -HISTOGRAM_RANGE, HISTOGRAM_RANGE)
    return (counts / band.numel() * HISTOGRAM_BINS / (2 * HISTOGRAM_RANGE)).tolist()


def _intervals(measures: dict[str, Tensor]) -> dict[str, Interval]:
    return {name: Interval.of(replicates) for name, replicates in measures.items()}
