"""Initial weights as DDGAN and WaveDiff sample them: uniform, of a variance set by the fans."""

from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn


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
    nn.init.xavier_uniform_(layer.weight, gain=scale**0.5)
    return _without_bias(layer)


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
    nn.init.kaiming_uniform_(layer.weight, mode="fan_out", nonlinearity="linear")
    with torch.no_grad():
        layer.weight.mul_(scale**0.5)
    return _without_bias(layer)


def _without_bias(layer: Layer) -> Layer:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
