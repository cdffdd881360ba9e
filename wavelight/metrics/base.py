"""Base of the metrics of generated images, and the one way from floats to bytes."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class ImageMetric(ABC):
    """Compares generated images with real ones.

    Real statistics are measured once, kept on disk, and loaded on every start. Most metrics look at
    pictures, ``(N, C, H, W)`` uint8, because that is what published numbers are measured on:
    :func:`to_uint8` makes them, the same for all. A metric of fields takes the floats themselves.

    Attributes:
        takes_floats: Whether images come as floats, as the data have them, which may be unbounded;
            else they are bytes.
    """

    takes_floats: bool = False

    @property
    @abstractmethod
    def identity(self) -> str:
        """All that the real statistics depend on but the images: part of their file's name."""

    def prepare(self) -> None:  # noqa: B027 (most metrics need nothing)
        """Load what the metric looks through, before training starts.

        Raises:
            FileNotFoundError: If something is missing, with a sentence that says how to get it.
        """

    @abstractmethod
    def update(self, images: Tensor, real: bool) -> None:
        """Look at images ``(N, C, H, W)``, real or generated: uint8, or floats where they are asked for."""

    @abstractmethod
    def values(self) -> dict[str, Tensor]:
        """Return what was measured, by the name in logs: float64 scalars, equal on all processes.

        Collective: every process must call it, also one that has seen no image.

        Raises:
            ValueError: If there are too few images.
        """

    @abstractmethod
    def forget_generated(self) -> None:
        """Forget the generated images and keep the real ones."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all images."""

    @abstractmethod
    def real_statistics(self) -> dict[str, Tensor]:
        """Return what is known of the real images of all processes together. Collective."""

    @abstractmethod
    def load_real_statistics(self, statistics: dict[str, Tensor]) -> None:
        """Take up what :meth:`real_statistics` returned.

        On one process only, because the processes are added up.
        """

    @abstractmethod
    def to(self, device: Any) -> Any:
        """Move to a device."""
