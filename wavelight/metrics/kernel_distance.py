"""KID: the kernel distance of generated features to real ones."""

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.metrics.kept_features import FeatureMeasure, in_canonical_order
from wavelight.metrics.pairs import columns, own_rows
from wavelight.support.collectives import rank, total, world_size
from wavelight.support.errors import check_least
from wavelight.support.progress import with_progress

_SEED = 2018


class KernelDistance(FeatureMeasure):
    """KID, the unbiased squared MMD with the kernel (x.y / D + 1)^3 (Bińkowski et al., 2018).

    Unlike FID it does not fall with the number of images, and may be a little below 0. By default it is that of all
    pairs of images, exactly; published ones are means over random subsets, which have the same expectation and more
    noise. The pairs of 50,000 images take a minute or more on a CPU.

    Args:
        subsets: How many random subsets are averaged, 100 as published, which also gives ``kid_std``, their standard
            deviation; by default one set of all images.
        subset_size: Images of each side in a subset.
    """

    least = 2

    def __init__(self, subsets: int | None = None, subset_size: int = 1000) -> None:
        check_least({"subsets": (subsets, 1), "subset_size": (subset_size, 2)})
        self.subsets = subsets
        self.subset_size = subset_size
        if subsets is not None:
            self.least = subset_size

    @property
    @override
    def identity(self) -> str:
        if self.subsets is None:
            return "kid of all pairs"
        return f"kid of {self.subsets} subsets of {self.subset_size}"

    @override
    def values(self, generated: Tensor, real: Tensor) -> dict[str, Tensor]:
        if self.subsets is None:
            return {"kid": kernel_distance(generated, real)}
        found = self._of_subsets(in_canonical_order(generated), in_canonical_order(real))
        return {"kid": found.mean(), "kid_std": found.std(correction=0)}

    def _of_subsets(self, generated: Tensor, real: Tensor) -> Tensor:
        assert self.subsets is not None
        found = torch.zeros(self.subsets, dtype=torch.float64, device=real.device)
        own = range(rank(), self.subsets, world_size())
        for subset in with_progress(own, "kernel distance of subsets"):
            generator = torch.Generator().manual_seed(_SEED + subset)
            chosen = [
                side[torch.randperm(len(side), generator=generator)[: self.subset_size]]
                for side in (generated, real)
            ]
            sums = [_kernel_sum(chosen[i], chosen[j], slice(None)) for i, j in _SIDES]
            found[subset] = _unbiased(sums, *chosen)
        return total(found)


_SIDES = ((0, 0), (1, 1), (0, 1))
"""Pairs within the generated, within the real, and across."""


def kernel_distance(generated: Tensor, real: Tensor) -> Tensor:
    """Return the unbiased squared MMD of all pairs, a float64 scalar (Gretton et al., 2012, equation 3). Collective.

    Args:
        generated: ``(N, D)``, N at least 2.
        real: ``(M, D)``, M at least 2.
    """
    sides = generated, real
    sums = torch.zeros(3, dtype=torch.float64, device=real.device)
    for place, (one, other) in enumerate(_SIDES):
        for rows in own_rows(len(sides[one]), "kernels of pairs"):
            sums[place] += sum(
                _kernel_sum(sides[one][rows], sides[other], part)
                for part in columns(len(sides[other]))
            )
    return _unbiased(list(total(sums)), generated, real)


def _kernel_sum(first: Tensor, second: Tensor, part: slice) -> Tensor:
    return _kernel(first.double() @ second[part].double().T, first.shape[1]).sum()


def _kernel(products: Tensor, dimension: int) -> Tensor:
    return (products / dimension + 1) ** 3


def _unbiased(sums: list[Tensor], generated: Tensor, real: Tensor) -> Tensor:
    """Leave out pairs of a feature and itself, and combine the means."""
    means = [
        (sums[side] - _kernel(features.double().square().sum(1), features.shape[1]).sum())
        / (len(features) * (len(features) - 1))
        for side, features in enumerate((generated, real))
    ]
    return means[0] + means[1] - 2 * sums[2] / (len(generated) * len(real))
