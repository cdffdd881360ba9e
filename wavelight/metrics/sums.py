"""Base of the metrics that are computed from sums over samples."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from wavelight.metrics.base import TwoSampleMetric
from wavelight.support.collectives import largest_shapes, total

Sums = dict[str, Tensor]
"""Sums over the samples of one side, by name; ``count`` is their number."""


class SumMetric(Metric, TwoSampleMetric):
    """A metric that is computed from sums over samples, the real and the generated ones apart.

    Sums add up over batches and processes, so memory does not grow with the samples, and only sums are exchanged and
    saved. A subclass names its sums here, calls :meth:`add` in ``update`` with those of a batch, and returns values by
    name in ``compute``, from what :meth:`totals` returns. Samples may be images or features of them.

    The sums, ``(2, ...)``, are attributes: entry 0 is generated and entry 1 real. They take their shapes from the
    first batch.

    Args:
        *names: Names of the sums, which are float64; ``count``, int64, is always there.

    Attributes:
        least: Fewest samples of each side that the metric can be computed from.
    """

    full_state_update = False
    higher_is_better = False
    is_differentiable = False

    least: int = 1
    count: Tensor

    def __init__(self, *names: str) -> None:
        # The processes are added up in `totals`: torchmetrics would gather all sums on each of them.
        super().__init__(sync_on_compute=False, compute_with_cache=False)
        self.names = names
        self.add_state("count", torch.zeros(2, dtype=torch.long), dist_reduce_fx="sum")
        for name in names:
            self.add_state(name, torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    @property
    @abstractmethod
    def identity(self) -> str:
        """All that the sums depend on but the samples: part of the name of the real statistics' file."""

    def add(self, real: bool, count: int, **sums: Tensor) -> None:
        """Add a batch to the sums.

        Args:
            real: Whether its samples are real, or generated.
            count: Number of its samples.
            **sums: Its sums by name, of any shapes, but the same in every batch.

        Raises:
            ValueError: If a shape is another than before.
        """
        self.allocate({name: value.shape for name, value in sums.items()})
        side = int(real)
        self.count[side] += count
        for name, value in sums.items():
            getattr(self, name)[side] += value

    def totals(self) -> tuple[Sums, Sums]:
        """Return the sums of the generated and of the real samples, over all processes. Collective.

        Raises:
            ValueError: If there are fewer than ``least`` of either.
        """
        count = self.total_count()
        both = {"count": count, **{name: total(getattr(self, name)) for name in self.names}}
        generated, real = ({name: value[side] for name, value in both.items()} for side in (0, 1))
        return generated, real

    def total_count(self) -> Tensor:
        """Return the numbers of generated and of real samples over all processes, ``(2,)``. Collective.

        Sums of processes that saw no sample get their shapes.

        Raises:
            ValueError: If there are fewer than ``least`` of either.
        """
        self._allocate_everywhere()
        count = total(self.count)
        generated, real = count.tolist()
        if min(generated, real) < self.least:
            raise ValueError(
                f"{type(self).__name__} needs at least {self.least} real and {self.least} generated images, "
                f"got {real} and {generated}"
            )
        return count

    def allocate(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Give sums their shapes, or check that they have them.

        Args:
            shapes: The shape of one side's sum, by name.

        Raises:
            ValueError: If a shape is another than before.
        """
        for name, shape in shapes.items():
            state = getattr(self, name)
            if state.shape == (2, *shape):
                continue
            if state.ndim > 1:
                raise ValueError(
                    f"all images must have one size: {name} of {type(self).__name__} has shape "
                    f"{tuple(state.shape[1:])} so far, got {tuple(shape)}"
                )
            setattr(self, name, state.new_zeros((2, *shape)))

    def _allocate_everywhere(self) -> None:
        self.allocate(largest_shapes({name: getattr(self, name).shape[1:] for name in self.names}))

    @override
    def values(self) -> dict[str, Tensor]:
        return self.compute()

    @override
    def forget_generated(self) -> None:
        for name in ("count", *self.names):
            getattr(self, name)[0].zero_()

    @override
    def real_statistics(self) -> dict[str, Tensor]:
        self._allocate_everywhere()
        return {name: total(getattr(self, name)[1]) for name in ("count", *self.names)}

    @override
    def load_real_statistics(self, statistics: dict[str, Tensor]) -> None:
        self.allocate({name: statistics[name].shape for name in self.names})
        for name in ("count", *self.names):
            getattr(self, name)[1] = statistics[name]
