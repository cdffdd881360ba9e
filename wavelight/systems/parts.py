"""Cutting a process's share of a batch into parts whose gradients are summed: what may meet stays together."""

from collections.abc import Mapping
from math import gcd
from typing import NamedTuple

from torch import Tensor, nn

from wavelight.networks.minibatch import MinibatchStandardDeviation
from wavelight.support.errors import OptionError


class Parts(NamedTuple):
    """How each process cuts its share of every batch, so that the parts of all make up whole groups of images.

    One process forms groups of every (N / group)-th image of N. Part k takes from each of the batch's ``group`` equal
    stretches the k-th piece; groups of every (n / group)-th of its n images are then some of those of the batch, on
    however many processes: each holds whole stretches, or equal pieces of them.
    """

    number: int
    """Parts of each share."""

    group: int
    """Images that networks compare with each other; 1 where they compare none."""

    processes: int

    @property
    def _pieces(self) -> int:
        """From how many places of a share each of its parts takes images."""
        return self.group // gcd(self.group, self.processes)

    def check(self, share: int) -> None:
        """Check that a share can be cut.

        Args:
            share: Images of a batch that each process has.

        Raises:
            OptionError: If it cannot, in one sentence.
        """
        if self.number == 1 or share % (self.number * self._pieces) == 0:
            return
        groups = f" into whole groups of {self.group} (minibatch standard deviation)"
        raise OptionError(
            f"accumulate_grad_batches must divide a device's {share} images of a batch"
            f"{groups if self.group > 1 else ''}, got {self.number}: give a data.batch_size that is a multiple of "
            f"{self.number * self._pieces * self.processes}, or another number"
        )

    def ordered(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a share in the order in which its parts follow each other.

        Args:
            batch: ``(N, ...)`` each.
        """
        if self.number == 1 or self._pieces == 1:
            return dict(batch)
        return {name: self._ordered(each) for name, each in batch.items()}

    def _ordered(self, share: Tensor) -> Tensor:
        cut = share.unflatten(0, (self._pieces, self.number, -1))
        return cut.transpose(0, 1).flatten(0, 2)

    def ranges(self, share: int) -> list[tuple[int, int]]:
        """Return the first image of each part of an ordered share, and the one behind its last."""
        size = share // self.number
        return [(start, start + size) for start in range(0, share, size)]


def group_of(networks: nn.Module) -> int:
    """Return how many images of a batch networks compare with each other; 1 where they compare none."""
    groups = [
        each.group for each in networks.modules() if isinstance(each, MinibatchStandardDeviation)
    ]
    return max(groups, default=1)
