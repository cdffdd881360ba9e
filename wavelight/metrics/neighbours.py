"""Shares of features inside of the manifolds of others: precision and recall, density and coverage."""

from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.metrics.kept_features import FeatureMeasure
from wavelight.metrics.pairs import columns, full_precision, own_rows, squared_distances
from wavelight.support.collectives import total
from wavelight.support.errors import check_least


class Neighbours(FeatureMeasure):
    """Improved precision and recall (Kynkäänniemi et al., 2019), density and coverage (Naeem et al., 2020).

    A manifold is the union of balls round its features, each as wide as the distance to the k-th nearest neighbour.
    Precision is the share of generated features in the manifold of the real ones, recall the share of real ones
    in the manifold of the generated. Density counts in how many real balls a generated feature lies, as a share of k;
    coverage is the share of real balls that hold a generated feature. One pass over all distances gives the four.

    Numbers depend on the features and on both counts. Published ones mostly are StyleGAN2-ADA's
    ``pr50k3_full``: the second fully connected layer of VGG16, 50,000 generated against up to 200,000
    real images. Those of FID's Inception, which InceptionMetrics measures, are other numbers:
    compare like with like.

    Args:
        neighbours: k of precision and recall; 3 is the published choice.
        density_neighbours: k of density and coverage; 5 is the published choice.
    """

    def __init__(self, neighbours: int = 3, density_neighbours: int = 5) -> None:
        check_least({"neighbours": (neighbours, 1), "density_neighbours": (density_neighbours, 1)})
        self.neighbours = neighbours
        self.density_neighbours = density_neighbours
        self.least = max(neighbours, density_neighbours) + 1

    @property
    @override
    def identity(self) -> str:
        return (
            f"neighbours of precision and recall: {self.neighbours}, of density and coverage: "
            f"{self.density_neighbours}"
        )

    @override
    def values(self, generated: Tensor, real: Tensor) -> dict[str, Tensor]:
        # Distances go through a matrix product, which loses digits where features are far from 0.
        centre = real.mean(0, dtype=torch.float64).float()
        generated, real = generated - centre, real - centre
        with full_precision(real.device):
            nearest = nearest_neighbours(real, self.least - 1)
            radii = Radii(
                real=nearest[:, self.neighbours - 1],
                generated=nearest_neighbours(generated, self.neighbours)[:, -1],
                density=nearest[:, self.density_neighbours - 1],
            )
            return shares_inside(generated, real, radii, self.density_neighbours)


class Radii(NamedTuple):
    """Squared radii of balls."""

    real: Tensor
    """Round real features, for precision, ``(M,)``."""
    generated: Tensor
    """Round generated features, for recall, ``(N,)``."""
    density: Tensor
    """Round real features, for density and coverage, ``(M,)``."""


def nearest_neighbours(features: Tensor, neighbours: int) -> Tensor:
    """Return the squared distances of features to their nearest others, ``(N, neighbours)``, nearest first.

    Collective.

    Args:
        features: ``(N, D)``, more than ``neighbours``.
        neighbours: How many.
    """
    found = features.new_zeros(len(features), neighbours)
    for rows in own_rows(len(features), "distances to neighbours"):
        near = features.new_full((rows.stop - rows.start, neighbours), torch.inf)
        for part in columns(len(features)):
            distances = squared_distances(features[rows], features[part])
            _leave_out_itself(distances, rows, part)
            near = _smallest(torch.cat([near, _smallest(distances, neighbours)], 1), neighbours)
        found[rows] = near
    return total(found)


def shares_inside(
    generated: Tensor, real: Tensor, radii: Radii, density_neighbours: int
) -> dict[str, Tensor]:
    """Return ``precision``, ``recall``, ``density`` and ``coverage``, float64 scalars. Collective.

    Kynkäänniemi et al., 2019, equation 2; Naeem et al., 2020, equations 4 and 5, whose balls are open, as in the
    authors' code.

    Args:
        generated: ``(N, D)``.
        real: ``(M, D)``.
        radii: Squared radii.
        density_neighbours: k of density.
    """
    precise = real.new_zeros(len(generated), dtype=torch.long)
    recalled = real.new_zeros(len(real), dtype=torch.long)
    covered, pairs = torch.zeros_like(recalled), torch.zeros_like(recalled[:1])
    for rows in own_rows(len(generated), "distances of generated to real"):
        for part in columns(len(real)):
            distances = squared_distances(generated[rows], real[part])
            precise[rows] += (distances <= radii.real[part]).any(1)
            recalled[part] += (distances <= radii.generated[rows, None]).any(0)
            inside = distances < radii.density[part]
            covered[part] += inside.any(0)
            pairs += inside.count_nonzero()
    precise, recalled, covered, pairs = (
        total(count) for count in (precise, recalled, covered, pairs)
    )
    return {
        "precision": (precise > 0).double().mean(),
        "recall": (recalled > 0).double().mean(),
        "density": pairs[0].double() / (density_neighbours * len(generated)),
        "coverage": (covered > 0).double().mean(),
    }


def _leave_out_itself(distances: Tensor, rows: slice, part: slice) -> None:
    """Put the distance of each feature to itself, where a block has it, behind all others."""
    start, stop = max(rows.start, part.start), min(rows.stop, part.stop)
    if start < stop:
        own = (slice(start - block.start, stop - block.start) for block in (rows, part))
        distances[tuple(own)].fill_diagonal_(torch.inf)


def _smallest(distances: Tensor, count: int) -> Tensor:
    return distances.topk(min(count, distances.shape[1]), largest=False).values
