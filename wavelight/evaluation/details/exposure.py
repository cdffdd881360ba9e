"""Whether details suffer from the errors of generated LL bands: images with true bands beside generated ones."""

import sys
from typing import NamedTuple

import lightning as L
from torch import Tensor
from typing_extensions import override

from wavelight.evaluation.details.held_out import floats
from wavelight.evaluation.details.pyramids import PyramidSystem
from wavelight.evaluation.details.true_bands import given_true_bands
from wavelight.evaluation.meter import Meter
from wavelight.systems import ImageGenerator


class Exposure(NamedTuple):
    """How far generated images are from real ones when some of their bands are true."""

    system: str
    true: str
    """Which bands are those of real images, in words."""

    values: dict[str, float]
    """Distances, by metric."""


class _WithTrueBands(L.LightningModule):
    """A stand-in for a system in Evaluation: images some of whose bands are true."""

    images_seen = 0

    def __init__(self, system: ImageGenerator, images: Tensor, seed: int) -> None:
        super().__init__()
        self.system = system
        self.images = images
        self.seed = seed
        self.known = 0

    @override
    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        index = batch["index"]
        true = floats(self.images[index.cpu()], self.device)
        return {"image": given_true_bands(self.system, true, self.known, index, self.seed)}


def exposure(system: PyramidSystem, true: Tensor, meter: Meter, seed: int) -> list[Exposure]:
    """Measure a system's images with no true band, with the coarsest, with the next ..., and real ones.

    Args:
        system: The system.
        true: ``(N, C, H, W)``, as many real images as the meter's data have to sample, bytes or floats.
        meter: Measures.
        seed: The seed of the set of images.
    """
    module = _WithTrueBands(system.generator, true, seed)
    found = []
    for known in range(len(system.generator.target_shapes)):
        module.known = known
        bands = _true_bands(system, known)
        sys.stderr.write(f"{system.name}, true: {bands}\n")
        found.append(Exposure(system.name, bands, meter.values(module)))
    return [*found, Exposure(system.name, "images", meter.held_out)]


def _true_bands(system: PyramidSystem, known: int) -> str:
    if known == 0:
        return "nothing"
    level = system.pyramid.levels - known + 1
    side = system.generator.image_size >> level
    return f"LL of level {level} ({side}x{side})"
