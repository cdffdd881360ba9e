"""What conditions a network: the embedding of the diffusion step, and the mapping of the latent."""

from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wavelight.networks.initialization import fan_average, fan_out


class Sinusoids(nn.Module):
    """Sines and cosines of a step, at frequencies that fall geometrically from 1 to 1/10000 (Vaswani et al. 2017).

    Args:
        width: Number of features, even and at least 4: the first half are sines, the second cosines.
    """

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        if width < 4 or width % 2:
            raise ValueError(f"an embedding of width {width} is not made of sines and cosines; take an even one >= 4")
        half = width // 2
        frequencies = torch.exp(torch.arange(half) * (-log(10000) / (half - 1)))
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        """Embed steps ``t`` ``(N,)`` as ``(N, width)``, in float32 whatever the precision around it."""
        angles = t.to(self.frequencies.dtype)[:, None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)


class LatentMapping(nn.Module):
    """Maps a latent to the style that every normalization of the generator reads (Xiao et al. 2022, appendix C).

    Args:
        latent: Length of the latent.
        width: Length of the style.
        layers: Number of hidden layers, beside the first.
    """

    def __init__(self, latent: int, width: int, layers: int) -> None:
        super().__init__()
        widths = [latent] + [width] * (1 + layers)
        pairs = zip(widths, widths[1:], strict=False)
        self.layers = nn.ModuleList(fan_out(nn.Linear(before, after)) for before, after in pairs)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``z`` ``(N, latent)``, of any length, to styles ``(N, width)``."""
        style = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.layers:
            style = F.silu(layer(style))
        return style


class StepMapping(nn.Module):
    """Maps a diffusion step to what every residual block of the generator adds to its features.

    Args:
        sinusoids: Number of sinusoids of the step.
        width: Length of the embedding.
    """

    def __init__(self, sinusoids: int, width: int) -> None:
        super().__init__()
        self.sinusoids = Sinusoids(sinusoids)
        self.hidden = fan_average(nn.Linear(sinusoids, width))
        self.out = fan_average(nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        """Embed steps ``t`` ``(N,)`` as ``(N, width)``, activated."""
        return F.silu(self.out(F.silu(self.hidden(self.sinusoids(t)))))
