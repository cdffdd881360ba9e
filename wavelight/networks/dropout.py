"""Dropout whose masks belong to an image: the same on any number of processes, and in any part of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from typing_extensions import override

from wavelight.noise import Noise

_LEVELS = 2**16
_LANES = 4

# Odd numbers of 64 bits, the first two and the shifts from SplitMix64 (Steele, Lea and Flood 2014).
_FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
_NEXT_WORD = 0x9E3779B97F4A7C15 - 2**64
_NEXT_MASK = 0x5851F42D4C957F2D


class ImageMasks:
    """Samples which features of images are dropped, a mask after the other, from each image's own stream.

    Args:
        noise: The randomness of the images.
    """

    def __init__(self, noise: Noise) -> None:
        self._keys = noise.bits()

    def sample(self, shape: torch.Size, level: int) -> Tensor:
        """Sample a mask.

        Args:
            shape: ``(N, C, ...)`` of the features.
            level: How many of 65,536 features are dropped, on average.

        Returns:
            ``shape``, true where a feature is dropped.

        Raises:
            ValueError: If there are not as many images as in the step.
        """
        if shape[0] != len(self._keys):
            raise ValueError(
                f"features of a training step with dropout must be those of its {len(self._keys)} images, got "
                f"{shape[0]}: call the network once for each set of images"
            )
        # The order in memory of features that are channels last.
        order = torch.Size([shape[0], *shape[2:], shape[1]])
        features = order[1:].numel()
        self._keys = self._keys + _NEXT_MASK
        numbers = _uniform(self._keys, features)
        return (numbers < level - _LEVELS // 2).reshape(order).movedim(-1, 1)


_masks: ImageMasks | None = None


@contextmanager
def image_masks(noise: Noise) -> Iterator[None]:
    """Let dropout inside this context take its masks from the streams of a batch's images.

    Args:
        noise: The randomness of the images, which nothing else samples from.
    """
    global _masks
    _masks = ImageMasks(noise)
    try:
        yield
    finally:
        _masks = None


class Dropout(nn.Dropout):
    """Drops features in training: in a training step by the masks of its images, and elsewhere by PyTorch's.

    Args:
        rate: Share of the features that are dropped, at least 0 and below 1.

    Raises:
        ValueError: If it is not.
    """

    def __init__(self, rate: float) -> None:
        # Rates that are nearly 0 or 1 are neither.
        self._level = min(max(round(rate * _LEVELS), int(rate > 0)), _LEVELS - 1)
        if not 0 <= rate < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {rate}")
        super().__init__(rate)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Map features ``(N, C, ...)``."""
        if _masks is None or not self.training or not self._level:
            return super().forward(x)
        dropped = _masks.sample(x.shape, self._level)
        # Not masked_fill, which forgets that features are channels last.
        return torch.where(dropped, 0, x * (_LEVELS / (_LEVELS - self._level)))


def drops_features(networks: nn.Module) -> bool:
    """Return whether networks drop features in training, so that they need masks."""
    return any(isinstance(each, Dropout) and each.p > 0 for each in networks.modules())


def _uniform(keys: Tensor, count: int) -> Tensor:
    """Return uniform numbers of -2^15 to 2^15 - 1 for each key, ``(N, count)`` int16, by SplitMix64.

    Philox, by which :class:`wavelight.noise.Noise` samples, takes ten times as long for what need not be as good.
    """
    words = torch.arange(-(-count // _LANES), device=keys.device) * _NEXT_WORD
    state = keys[:, None] + words
    state ^= state >> 30
    state *= _FACTORS[0]
    state ^= state >> 27
    state *= _FACTORS[1]
    # The shift copies the sign, and the highest bit would always be 0.
    state ^= (state >> 31) & (2**33 - 1)
    return state.view(torch.int16)[:, :count]
