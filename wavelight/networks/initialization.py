"""Initial weights as DDGAN and WaveDiff sample them: uniform, of a variance set by the fans."""

from math import prod, sqrt
from typing import Protocol, TypeVar

import torch
from torch import Tensor


class Weighted(Protocol):
    """A layer with a weight, outputs first, and perhaps a bias."""

    @property
    def weight(self) -> Tensor:
        """The weight, ``(outputs, inputs, *window)``."""

    @property
    def bias(self) -> Tensor | None:
        """The bias, ``(outputs,)``."""


Layer = TypeVar("Layer", bound=Weighted)

NEARLY_ZERO = 1e-10
"""The scale of a layer that starts (almost) silent, so that its branch or output starts at zero."""


def fan_average(layer: Layer, scale: float = 1.0) -> Layer:
    """Sample weights of variance ``scale / mean(fan_in, fan_out)``; zero biases.

    Glorot and Bengio 2010, equation 16.

    Args:
        layer: A convolution or a linear layer; it is changed in place.
        scale: 1 keeps the variance of a signal on its way through the layer.

    Returns:
        The layer.
    """
    fan_in, fan_out = _fans(layer.weight)
    return _draw(layer, scale / ((fan_in + fan_out) / 2))


def fan_out(layer: Layer, scale: float = 1.0) -> Layer:
    """Sample weights of variance ``scale / fan_out``; zero biases.

    This is what the published discriminators and style layers start from, though their authors call
    it an average.

    Args:
        layer: A convolution or a linear layer; it is changed in place.
        scale: 1 keeps the variance of a gradient on its way through the layer.

    Returns:
        The layer.
    """
    return _draw(layer, scale / _fans(layer.weight)[1])


def _fans(weight: Tensor) -> tuple[int, int]:
    outputs, inputs, *window = weight.shape
    return inputs * prod(window), outputs * prod(window)


@torch.no_grad()
def _draw(layer: Layer, variance: float) -> Layer:
    bound = sqrt(3 * variance)
    layer.weight.uniform_(-bound, bound)
    if layer.bias is not None:
        layer.bias.zero_()
    return layer
