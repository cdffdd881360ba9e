"""Modulation of residual blocks by the diffusion step and the latent, computed for all at once."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Modulation(NamedTuple):
    """Scales and shifts of one residual block's features, which make it depend on the step and the latent."""

    shift: Tensor
    """Added to the features between its convolutions, ``(N, outputs)``; it carries the step."""

    affine_in: Tensor
    """Scales and shifts of its first normalization, ``(N, 2 * inputs)``; they carry the latent."""

    affine_out: Tensor
    """Scales and shifts of its second normalization, ``(N, 2 * outputs)``."""


def all_at_once(layers: Iterable[nn.Linear], x: Tensor) -> Iterator[Tensor]:
    """Apply linear layers to the same input as one matrix product.

    A product of a small batch with a small matrix leaves most of a processor idle, and a generator
    has dozens of them.

    Args:
        layers: Linear layers with biases, each with as many inputs as ``x`` has features.
        x: ``(N, features)``.

    Returns:
        For each layer its outputs ``(N, outputs)``.
    """
    layers = list(layers)
    weight = torch.cat([layer.weight for layer in layers])
    bias = torch.cat([layer.bias for layer in layers])
    return iter(_linear(x, weight, bias).split([layer.out_features for layer in layers], dim=1))


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if x.device.type != "cpu":
        return functional.linear(x, weight, bias)
    # With the batch as the pixels of one image, because oneDNN convolves a few pixels up to twice
    # as fast as MKL multiplies a few rows, once the weights are laid out for it.
    pixels = x.t()[None, :, :, None]
    return functional.conv2d(pixels, weight[:, :, None, None], bias)[0, :, :, 0].t()
