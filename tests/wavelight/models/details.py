"""Networks and a factor of the detail bands, for tests of their models."""

from functools import partial

import torch

from data_modules.statistics import measure
from wavelight.factorizations.pyramids import Pyramid
from wavelight.factorizations.scaling import Half
from wavelight.factors import FactorShape
from wavelight.networks import AttentionGateUNet
from wavelight.noise import Noise

ADAM = partial(torch.optim.Adam, lr=1e-3)


SHAPE = FactorShape.square(9, 8, 3)
"""Of the coarsest details of :func:`factor`; its networks serve both levels."""


def generator(noise_channels=3, **changes):
    """Return what builds a generator."""
    options = {"width": 4, "noise_channels": noise_channels, "pools": 1}
    return partial(AttentionGateUNet, **(options | changes))


def factor(level, scaling=None):
    """Return the details of a level of some images, which are scaled by what they are where a scaling asks for it."""
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pyramid = Pyramid(2, scaling=scaling or Half())
    if pyramid.needs_statistics():
        pyramid.fit(measure([images], 3, pyramid.split, 2))
    return pyramid.encode(images)[3 - level]


def noise():
    return Noise(0, torch.arange(4))
