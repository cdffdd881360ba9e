"""Images, and systems by their names, for the tests of details."""

import torch

from wavelight.evaluation.details.pyramids import PyramidSystem


def images(n=8, side=16):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (n, 3, side, side), generator=generator, dtype=torch.uint8)


def named(generator):
    return PyramidSystem("it", "it.ckpt", generator, generator.factorization)
