"""A factorization: p(image) as a product of factors p(target | condition)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn
from typing_extensions import override

from wavelight.factorizations.scaling import ScaledBand
from wavelight.factors import UNCONDITIONAL, Condition
from wavelight.wavelets import (
    LevelStatistics,
    dwt2,
    filter_length,
)

SampleTarget = Callable[[int, Tensor | None], Tensor]
"""Samples the target of a factor, given its index and its LL."""


Shape = tuple[int, int, int]
"""Channels, height and width."""


class Refinement(NamedTuple):
    """Builds the images that details complete, one level finer, from the true LL."""

    coarse: Tensor
    """``(N, C, H, W)``, of the resolution of the details; LL as the transform gives it."""

    details: ScaledBand
    merge: Callable[[Tensor, Tensor], Tensor]
    """Builds images of LL and unscaled details."""

    def __call__(self, target: Tensor) -> Tensor:
        """Build images one level finer; nothing is calculated before.

        Args:
            target: Details ``(N, 3C, H, W)``, or ``(N, C, H, W)`` of a Laplacian pyramid, true or
                generated, scaled as networks see them.

        Returns:
            ``(N, C, 2H, 2W)``, or ``(N, C, H, W)`` of a Laplacian pyramid, pixels or LL of
            the level below, as the transform gives it: with Haar in [-peak, peak].
        """
        return self.merge(self.coarse, self.details.inverse(target))

    @property
    def peak(self) -> int:
        """The largest magnitude of images in [-1, 1] there, of Haar and Laplacian pyramids; others may pass it."""
        return 2 ** (self.details.level - 1)


class Factor(NamedTuple):
    """A tensor to generate, and what it is conditioned on."""

    target: Tensor
    condition: Condition = UNCONDITIONAL
    finer: Refinement | None = None
    """Builds the images that targets complete, where these are the details of a pyramid."""

    def labelled(self, label: Tensor | None) -> "Factor":
        """Return the factor conditioned on the classes of its images, too, ``(N,)`` int64, where they are known."""
        return self._replace(condition=self.condition._replace(label=label))

    def part(self, start: int, stop: int) -> "Factor":
        """Return the factor of the images ``start`` to ``stop`` - 1 of this batch."""
        cut = slice(start, stop)
        return Factor(
            self.target[cut],
            self.condition.part(start, stop),
            None if self.finer is None else self.finer._replace(coarse=self.finer.coarse[cut]),
        )


class Factorization(nn.Module, ABC):
    """Splits images into factors, and builds images from factors generated one after the other."""

    wavelet: str = "haar"
    levels: int = 0

    @property
    def bands(self) -> str:
        """The name of the bands that :meth:`split` gives, under which their statistics are kept."""
        return self.wavelet

    def split(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Halve images once: what is measured at every level before :meth:`fit`.

        Args:
            image: ``(N, C, H, W)``, pixels or LL of the level below.

        Returns:
            LL ``(N, C, H/2, W/2)``, and unscaled details.
        """
        return dwt2(image, self.wavelet)

    @abstractmethod
    def target_shapes(self, image: Shape) -> list[Shape]:
        """Return the shape of each factor's target, in the order in which they are generated.

        Args:
            image: Channels, height and width of the images.

        Raises:
            ValueError: If images of this shape cannot be split so.
        """

    def condition_channels(self, image: Shape) -> list[int]:
        """Return the channels of each factor's condition, 0 where there is none.

        Args:
            image: Channels, height and width of the images.
        """
        return [0] * len(self.target_shapes(image))

    def factor_name(self, index: int) -> str:
        """Return what a factor is called in messages, by its number in the order in which factors are generated."""
        return f"factor {index}"

    @abstractmethod
    def encode(self, image: Tensor) -> list[Factor]:
        """Split images ``(N, C, H, W)`` into factors, in the order in which they are generated."""

    @abstractmethod
    def decode(self, sample: SampleTarget) -> Tensor:
        """Build images, calling ``sample(index, ll)`` for the target of each factor."""

    def networks(self) -> dict[str, nn.Module]:
        """Return the frozen networks that decoding evaluates, by their attributes' names; no model learns them."""
        return {}

    def needs_statistics(self) -> bool:
        """Tell whether :meth:`fit` must be called before training."""
        return any(band.scaling.needs_statistics for band in self._bands())

    def bounded(self) -> bool:
        """Tell whether the targets of images in [-1, 1] lie there, too."""
        return all(band.scaling.bounds(self.wavelet) for band in self._bands())

    def fit(self, statistics: list[LevelStatistics]) -> None:
        """Choose the scale of each band.

        Args:
            statistics: Statistics of the levels 0 (pixels) to :attr:`levels`, over the training set.
        """

    def _analyses(self, image: Tensor) -> "list[LevelBands]":
        """Split images, then their LL, and so on; the finest level comes first."""
        found: list[LevelBands] = []
        for _ in range(self.levels):
            found.append(LevelBands(*self.split(found[-1].coarse if found else image)))
        return found

    def _bands(self) -> list[ScaledBand]:
        return [module for module in self.modules() if isinstance(module, ScaledBand)]


class Pixels(Factorization):
    """One factor: the image itself."""

    @override
    def target_shapes(self, image: Shape) -> list[Shape]:
        return [image]

    @override
    def factor_name(self, index: int) -> str:
        return "pixels"

    @override
    def encode(self, image: Tensor) -> list[Factor]:
        return [Factor(image)]

    @override
    def decode(self, sample: SampleTarget) -> Tensor:
        return sample(0, None)


class LevelBands(NamedTuple):
    """The bands of one level of a transform."""

    coarse: Tensor
    details: Tensor


def check_transform(wavelet: str, levels: int) -> None:
    """Refuse wavelets that do not exist, and transforms of no level."""
    filter_length(wavelet)
    if levels < 1:
        raise ValueError(f"levels must be at least 1, got {levels}")


def check_sides(height: int, width: int, wavelet: str, levels: int) -> None:
    """Refuse images whose sides the transform cannot halve as often."""
    size = height if height == width else f"{height}x{width}"
    if height % 2**levels or width % 2**levels:
        raise ValueError(f"image_size must be divisible by 2**levels = {2**levels}, got {size}")
    taps, side = filter_length(wavelet), min(height, width) >> (levels - 1)
    if side < taps:
        raise ValueError(
            f"image_size {size} leaves a side of {side} for level {levels}, but wavelet "
            f"{wavelet!r} has {taps} taps and needs as many pixels: lower levels or use a "
            "shorter wavelet"
        )
