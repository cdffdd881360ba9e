"""Whether details use their noise as they should: several samples at each true LL."""

import torch
from torch import Tensor

from wavelight.evaluation.details.ensembles import Diversity, EnsembleScores
from wavelight.evaluation.details.held_out import floats
from wavelight.evaluation.details.pyramids import PyramidSystem
from wavelight.evaluation.details.true_bands import numbers_of_sample
from wavelight.wavelets import DETAIL_BANDS

_BAND_NAMES = ("LH", "HL", "HH")


@torch.no_grad()
def diversity(
    system: PyramidSystem, true: Tensor, samples: int, seed: int, batch_size: int
) -> list[Diversity]:
    """Sample the details of every level several times at each true LL, and score them.

    Args:
        system: The system, on the device where it is to sample.
        true: ``(N, C, H, W)`` real images, bytes or floats.
        samples: How many at each LL.
        seed: The seed of the samples.
        batch_size: How many are generated at once.
    """
    generator, levels = system.generator, system.pyramid.levels
    scores = [EnsembleScores() for _ in range(levels)]
    for index in torch.arange(len(true)).split(batch_size):
        factors = generator.factorization.encode(floats(true[index], generator.device))
        numbers = index.to(generator.device)
        for factor, score in enumerate(scores, start=1):
            target, condition, finer = factors[factor]
            assert finer is not None
            ensemble = [
                generator.sample_factor(factor, condition, numbers_of_sample(numbers, number), seed)
                for number in range(samples)
            ]
            # As the transform gives them, so that systems of other scalings compare.
            inverse = finer.details.inverse
            score.update(inverse(torch.stack(ensemble)), inverse(target))
    return [
        score.row(system.name, level, band, channels)
        for level, score in zip(range(levels, 0, -1), scores, strict=True)
        for band, channels in _band_channels(system).items()
    ]


def _band_channels(system: PyramidSystem) -> dict[str, slice]:
    """Return the channels of a level's details by the names of their bands."""
    channels, detail_channels = system.generator.channels, system.generator.target_shapes[-1][0]
    bands = {"all": slice(detail_channels)}
    if detail_channels == DETAIL_BANDS * channels:
        bands |= {
            name: slice(number * channels, (number + 1) * channels)
            for number, name in enumerate(_BAND_NAMES)
        }
    return bands
