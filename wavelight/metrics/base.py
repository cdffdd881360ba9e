"""Bases of the metrics: two sets of samples compared, metrics of images, and several metrics in one."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from typing_extensions import override


class TwoSampleMetric(ABC):
    """Compares generated samples with real ones, by statistics of the two sets.

    Real statistics are measured once, kept on disk, and loaded on every start.
    """

    @abstractmethod
    def update(self, samples: Tensor, real: bool) -> None:
        """Take in samples ``(N, ...)``, real or generated."""

    @abstractmethod
    def values(self) -> dict[str, Tensor]:
        """Return the measured values by their names in logs: float64 scalars, equal on all processes.

        Collective: every process must call it, also one that has seen no sample.

        Raises:
            ValueError: If there are too few samples.
        """

    @abstractmethod
    def forget_generated(self) -> None:
        """Forget the generated samples and keep the real ones."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all samples."""

    @abstractmethod
    def real_statistics(self) -> dict[str, Tensor]:
        """Return the statistics of the real samples of all processes together. Collective."""

    @abstractmethod
    def load_real_statistics(self, statistics: dict[str, Tensor]) -> None:
        """Load what :meth:`real_statistics` returned; names that belong to other metrics are left alone.

        On one process only, because the processes are added up.
        """

    @abstractmethod
    def to(self, device: Any) -> Any:
        """Move to a device."""


class ImageMetric(TwoSampleMetric):
    """Compares generated images with real ones.

    Most metrics take pictures, ``(N, C, H, W)`` uint8, because published numbers are measured on them:
    :func:`wavelight.support.pictures.to_uint8` makes them, the same for all. A metric of fields takes floats.

    Attributes:
        takes_floats: Whether images come as floats in the range of the data, which may be unbounded;
            else they are bytes.
    """

    takes_floats: bool = False

    @property
    @abstractmethod
    def identity(self) -> str:
        """All that the real statistics depend on but the images: part of their file's name."""

    def given_statistics(self) -> dict[str, Tensor] | None:
        """Return the real statistics where a file gives them, and no real image is measured, after :meth:`prepare`."""
        return None

    def prepare(self) -> None:
        """Load the weights of the metric's network, if it has one, before training starts.

        Raises:
            FileNotFoundError: If they are missing; the message says how to get them.
        """


class CombinedMetric(ImageMetric):
    """Several metrics of the same images, or of the same features of them."""

    @abstractmethod
    def parts(self) -> Iterable[tuple[str, TwoSampleMetric]]:
        """Return the metrics, each with the prefix that its names have among the real statistics."""

    @override
    def forget_generated(self) -> None:
        for _, part in self.parts():
            part.forget_generated()

    @override
    def reset(self) -> None:
        for _, part in self.parts():
            part.reset()

    @override
    def real_statistics(self) -> dict[str, Tensor]:
        return {
            prefix + name: value
            for prefix, part in self.parts()
            for name, value in part.real_statistics().items()
        }

    @override
    def load_real_statistics(self, statistics: dict[str, Tensor]) -> None:
        for prefix, part in self.parts():
            part.load_real_statistics(
                {
                    name.removeprefix(prefix): value
                    for name, value in statistics.items()
                    if name.startswith(prefix)
                }
            )

    @override
    def to(self, device: Any) -> Any:
        for _, part in self.parts():
            part.to(device)
        return self
