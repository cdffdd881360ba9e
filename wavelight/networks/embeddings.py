"""Embeddings that condition a network: the embedding of the diffusion step, and the mapping of the latent."""

from itertools import pairwise
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavelight.networks.initialization import fan_average, fan_out


def sinusoidal_embedding(t: Tensor, width: int) -> Tensor:
    """Embed steps in sines and cosines of frequencies from 1 to 1/10000 (Vaswani et al. 2017).

    Args:
        t: Steps ``(N,)``, integers from 0.
        width: Number of features, even and at least 4: the first half are sines, the second
            cosines.

    Returns:
        ``(N, width)``, in float32 whatever the precision around it.
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half, device=t.device) * (-log(10000) / (half - 1)))
    angles = t[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class MappingNetwork(nn.Module):
    """Maps a latent to the style that every normalization of the generator reads.

    Args:
        latent: Length of the latent.
        width: Length of the style.
        layers: Number of hidden layers, beside the first.
    """

    def __init__(self, latent: int, width: int, layers: int) -> None:
        super().__init__()
        widths = [latent] + [width] * (1 + layers)
        self.layers = nn.ModuleList(
            fan_out(nn.Linear(before, after)) for before, after in pairwise(widths)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Map ``z`` ``(N, latent)``, of any length, to styles ``(N, width)``."""
        style = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.layers:
            style = functional.silu(layer(style))
        return style


class TimestepEmbedding(nn.Module):
    """Maps a diffusion step to what every residual block of the generator adds to its features.

    Args:
        features: Number of sinusoidal_embedding of the step, even and at least 4.
        width: Length of the embedding.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.hidden = fan_average(nn.Linear(features, width))
        self.out = fan_average(nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        """Embed steps ``t`` ``(N,)`` as ``(N, width)``, activated."""
        waves = sinusoidal_embedding(t, self.hidden.in_features).to(self.hidden.weight.dtype)
        return functional.silu(self.out(functional.silu(self.hidden(waves))))
