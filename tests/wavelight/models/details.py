"""Networks and a factor of the detail bands, for tests of their models."""

from functools import partial

import torch

from wavelight.factorizations.pyramids import Pyramid
from wavelight.factorizations.scaling import Half
from wavelight.networks import AttentionGateUNet
from wavelight.noise import Noise

ADAM = partial(torch.optim.Adam, lr=1e-3)


def generator(noise_channels=3, **changes):
    torch.manual_seed(0)
    return AttentionGateUNet(9, 4, 3, noise_channels, **({"pools": 1} | changes))


def factor(level, scaling=None):
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Pyramid(2, scaling=scaling or Half()).encode(images)[3 - level]


def noise():
    return Noise(0, torch.arange(4))
