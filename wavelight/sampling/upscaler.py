"""The upscaler: sampled details double the sides of images."""

import copy
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.factorizations.base import Shape
from wavelight.factorizations.pyramids import LevelByLevel
from wavelight.factorizations.scaling import ScaledBand
from wavelight.factors import Condition
from wavelight.models import GenerativeModel
from wavelight.noise import Noise
from wavelight.sampling.tiles import Tiles, tiled
from wavelight.systems import ImageGenerator
from wavelight.systems.base import sampling_noise
from wavelight.wavelets import filter_length

_META = torch.device("meta")


_TRIAL_STEPS = 2


class Upscaler:
    """Doubles images by the details that a trained pyramid samples given them.

    An image becomes the LL of level ``doublings``: 2 ** doublings times its pixels, the scale of the
    orthonormal Haar transform, so that with Haar means over blocks of the result are the image again
    (before it is clamped). Other wavelets have the same gain at low frequencies, and their LL differs
    from means of blocks elsewhere. A Laplacian pyramid's LL is that of Haar, but its sampled details
    may change the means.

    An image may have any sides. Those that a network cannot halve often enough are continued, by
    repeating the last row and column, and the result is cut.

    Args:
        system: A system of a pyramid, which samples pictures; it is put into evaluation mode.
        seed: The seed of all noise.
        doublings: How often the side is doubled; none takes as often as the pyramid has levels. With
            fewer than these, the details of the finest levels are used.
        tiles: How networks are run on parts of an image; none runs them on the whole.

    Raises:
        ValueError: If the system has no pyramid, or not as many levels, samples no pictures, or if its
            networks cannot be run on such tiles.
    """

    def __init__(
        self,
        system: ImageGenerator,
        seed: int = 0,
        doublings: int | None = None,
        tiles: Tiles | None = None,
    ) -> None:
        if not isinstance(system.factorization, LevelByLevel):
            raise ValueError(
                f"only a pyramid (WSGM, Hybrid) can upscale images: {type(system).__name__} does "
                "not sample details conditioned on LL"
            )
        if not system.bounded:
            raise ValueError(
                "upscaling needs a system of bounded images (pictures), got one of unbounded fields"
            )
        pyramid = system.factorization
        self.doublings = pyramid.levels if doublings is None else doublings
        if not 1 <= self.doublings <= pyramid.levels:
            raise ValueError(
                f"doublings must be from 1 to the pyramid's {pyramid.levels} levels, got "
                f"{self.doublings}"
            )
        self.system = system.eval()
        self.pyramid = pyramid
        self.seed = seed
        self.tiles = tiles
        self._check_tiles()

    @torch.no_grad()
    def __call__(self, images: Tensor, index: Tensor) -> Tensor:
        """Double images.

        Args:
            images: ``(N, C, H, W)`` in [-1, 1].
            index: ``(N,)`` int64: the number of each image, to which its noise belongs.

        Returns:
            ``(N, C, 2 ** doublings * H, 2 ** doublings * W)`` in [-1, 1], float32.

        Raises:
            ValueError: If the images do not have the system's channels, or a side that is too small.
        """
        height, width = self._check(images)
        images, index = images.to(self.system.device), index.to(self.system.device)
        band = self._continued(images) * 2.0**self.doublings
        for level in range(self.doublings, 0, -1):
            band = self._refine(band, level, index)
        return band[..., : height << self.doublings, : width << self.doublings].clamp(-1, 1)

    def _refine(self, band: Tensor, level: int, index: Tensor) -> Tensor:
        """Turn the LL of a level, as the transform gives it, into that of the level below."""
        coarse, details = self.pyramid.coarse[level - 1], self.pyramid.details[level - 1]
        assert isinstance(coarse, ScaledBand)
        assert isinstance(details, ScaledBand)
        factor, model = self._factor(level), self._model(level)
        given = self.pyramid.given(band)
        noise = sampling_noise(self.seed, index, factor)
        with tiled(model, self.tiles):
            condition = Condition(coarse(given))
            generated = model.sample((details.channels, *given.shape[2:]), condition, noise)
        return self.pyramid.merge(given, details.inverse(generated.float()))

    def _factor(self, level: int) -> int:
        return self.pyramid.levels - level + 1

    def _model(self, level: int) -> GenerativeModel:
        return self.system.factor_models()[self._factor(level)]

    # --- what sides networks take ---

    @cached_property
    def _multiples(self) -> dict[int, int | None]:
        """Return for each level what divides the sides of what its model is given, see :func:`multiple`."""
        return {
            level: multiple(
                self._model(level),
                self.system.target_shapes[self._factor(level)],
                self.system.channels,
            )
            for level in range(self.doublings, 0, -1)
        }

    def _given_a_pixel(self, level: int) -> int:
        """Return the side of what a level's model is given, over that of the image that is doubled."""
        side = self.system.target_shapes[self._factor(level)][1]
        # A Laplacian pyramid enlarges coarse images before its models see them.
        enlarged = side // (self.system.image_size >> level)
        return enlarged << (self.doublings - level)

    def _check_tiles(self) -> None:
        if self.tiles is None:
            return
        side, overlap = self.tiles
        if not 0 <= overlap < side:
            raise ValueError(
                f"overlap must be from 0 to less than the side of a tile, {side}, got {overlap}"
            )
        for level, divisor in self._multiples.items():
            if divisor is None:
                raise ValueError(
                    f"the model of level {level} takes images of one size only: leave out tile"
                )
            if side % divisor or overlap % divisor:
                raise ValueError(
                    f"tile and overlap must be multiples of {divisor} for the model of level {level}, "
                    f"got {side} and {overlap}"
                )

    def _check(self, images: Tensor) -> tuple[int, int]:
        channels, height, width = images.shape[1:]
        if channels != self.system.channels:
            raise ValueError(
                f"the images must have {self.system.channels} channels, as the system samples, got "
                f"{channels}"
            )
        for level, divisor in self._multiples.items():
            side = self.system.image_size >> self.doublings
            if divisor is None and (height, width) != (side, side):
                raise ValueError(
                    f"doubling {self.doublings} times needs an image of another size: the model of "
                    f"level {level} takes {side}x{side} only, got {width}x{height}"
                )
        taps = filter_length(self.pyramid.wavelet)
        if 2 * min(height, width) < taps:
            raise ValueError(
                f"the image must have sides of at least {-(-taps // 2)} for wavelet "
                f"{self.pyramid.wavelet!r}, got {width}x{height}"
            )
        return height, width

    def _continued(self, images: Tensor) -> Tensor:
        if None in self._multiples.values():
            return images
        # All are powers of 2, of which doubling brings some.
        divisor = max(
            max(1, (each or 1) // self._given_a_pixel(level))
            for level, each in self._multiples.items()
        )
        height, width = images.shape[2:]
        return functional.pad(images, (0, -width % divisor, 0, -height % divisor), "replicate")


def multiple(model: GenerativeModel, target: Shape, condition_channels: int) -> int | None:
    """Find what must divide the sides of targets that a model can sample, by trial without values.

    Args:
        model: A model of details, which are generated given a condition of the same sides.
        target: Channels, height and width of the details that it is made for, of equal sides.
        condition_channels: Channels of the condition.

    Returns:
        The smallest power of 2, up to the side, of which odd multiples are taken; none where the model
        samples targets of its own side only.
    """
    without_values: dict[int, Any] = {
        id(parameter): nn.Parameter(parameter.detach().to(_META))
        for parameter in model.parameters()
    }
    trial = copy.deepcopy(model, without_values).to(_META).eval()
    if trial.steps is not None:
        # A chain of a thousand steps would tell no more.
        trial.take_steps(_TRIAL_STEPS)
    channels, side, _ = target
    for divisor in (2**power for power in range(side.bit_length())):
        # Odd multiples, so that no larger power divides them; and not the one side it is made for.
        odd = max(side // divisor, 2) | 1
        if _takes(trial, (channels, odd * divisor, (odd + 2) * divisor), condition_channels):
            return divisor
    return None


def _takes(model: GenerativeModel, target: Shape, condition_channels: int) -> bool:
    condition = Condition(torch.empty(1, condition_channels, *target[1:], device=_META))
    noise = Noise(0, torch.zeros(1, dtype=torch.int64, device=_META))
    try:
        with torch.no_grad():
            return model.sample(target, condition, noise).shape == (1, *target)
    # Layers raise different errors where sizes do not fit.
    except (RuntimeError, ValueError):
        return False
