"""The statistics of the bands of a data set, a wavelet's or another pyramid's, in one streaming pass."""

import logging
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from data_modules.errors import DataError
from data_modules.plain_files import printable, read_plain
from wavelight.support.files import draft_of
from wavelight.wavelets import BandStatistics, LevelStatistics, Split

_log = logging.getLogger(__name__)


class Moments:
    """Count, mean and peak of each channel, and sums of products of their deviations, in float64.

    Chan, Golub and LeVeque 1979, «Updating formulae and a pairwise algorithm for computing sample
    variances»: no large sums are subtracted from each other, so that a small deviation beside a
    large mean keeps its digits.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self.products = torch.zeros(channels, channels, dtype=torch.float64)
        self.peak = torch.zeros(channels, dtype=torch.float64)

    @classmethod
    def of(cls, band: Tensor) -> "Moments":
        """Measure a batch ``(N, C, H, W)``."""
        values = band.transpose(0, 1).flatten(1).double()
        moments = cls(len(values))
        moments.count = values.shape[1]
        moments.mean = values.mean(1)
        deviations = values - moments.mean[:, None]
        moments.products = deviations @ deviations.T
        moments.peak = values.abs().amax(1)
        return moments

    def merge(self, other: "Moments") -> None:
        """Take in what others measured."""
        if other.count == 0:
            return
        if self.count == 0:
            # Only bands tell how many channels their details have.
            self.mean = torch.zeros_like(other.mean)
            self.products = torch.zeros_like(other.products)
            self.peak = torch.zeros_like(other.peak)
        count = self.count + other.count
        shift = other.mean - self.mean
        self.products += other.products + shift.outer(shift) * (self.count * other.count / count)
        self.mean += shift * (other.count / count)
        self.peak = torch.maximum(self.peak, other.peak)
        self.count = count

    def statistics(self) -> BandStatistics:
        """Return mean, standard deviation and covariance (of the population) and peak as float32."""
        covariance = self.products / max(1, self.count)
        std = covariance.diagonal().sqrt()
        return BandStatistics(*(each.float() for each in (self.mean, std, self.peak, covariance)))


class BandMoments:
    """The moments of every band of a pyramid, from the pixels (level 0) to the coarsest level."""

    def __init__(self, channels: int, levels: int) -> None:
        self.coarse = [Moments(channels) for _ in range(levels + 1)]
        self.details = [Moments(0) for _ in range(levels + 1)]

    def update(self, image: Tensor, split: Split) -> None:
        """Take in images ``(N, C, H, W)``, given what halves them once."""
        coarse = image
        self.coarse[0].merge(Moments.of(coarse))
        for coarse_moments, details_moments in zip(self.coarse[1:], self.details[1:], strict=True):
            coarse, details = split(coarse)
            coarse_moments.merge(Moments.of(coarse))
            details_moments.merge(Moments.of(details))

    def merge(self, other: "BandMoments") -> None:
        """Take in what another process measured."""
        for mine, theirs in zip(
            self.coarse + self.details, other.coarse + other.details, strict=True
        ):
            mine.merge(theirs)

    def statistics(self) -> list[LevelStatistics]:
        """Return the statistics of each level; level 0 has no details, so theirs are empty."""
        return [
            LevelStatistics(coarse.statistics(), details.statistics())
            for coarse, details in zip(self.coarse, self.details, strict=True)
        ]


def measure(
    images: Iterable[Tensor], channels: int, split: Split, levels: int
) -> list[LevelStatistics]:
    """Measure the bands of images; in a distributed run, all processes must call this together.

    Args:
        images: Batches ``(N, C, H, W)``, this process's share.
        channels: The number of channels C.
        split: Halves images once, such as :func:`wavelight.wavelets.dwt2`.
        levels: How often LL is split.
    """
    moments = BandMoments(channels, levels)
    for image in images:
        moments.update(image, split)
    if not _distributed():
        return moments.statistics()
    gathered: list[BandMoments] = [moments] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, moments)
    total = BandMoments(channels, levels)
    for part in gathered:
        total.merge(part)
    return total.statistics()


def load(path: Path) -> list[LevelStatistics] | None:
    """Read statistics, or None where there are none, or what there is cannot be used.

    Of a distributed run, rank 0 reads for all.
    """
    box = [_read(path) if _rank() == 0 else None]
    if _distributed():
        torch.distributed.broadcast_object_list(box)
    return box[0]


def save(path: Path, statistics: list[LevelStatistics]) -> None:
    """Write statistics, all or nothing; of a distributed run, rank 0 writes for all."""
    from safetensors.torch import save_file

    if _rank() != 0:
        return
    with draft_of(path) as draft:
        save_file({name: tensor.contiguous() for name, tensor in _named(statistics)}, draft)


def _named(statistics: list[LevelStatistics]) -> list[tuple[str, Tensor]]:
    return [
        (f"{level}.{band}.{name}", tensor)
        for level, bands in enumerate(statistics)
        for band, values in bands._asdict().items()
        for name, tensor in values._asdict().items()
    ]


def _read(path: Path) -> list[LevelStatistics] | None:
    from safetensors import SafetensorError
    from safetensors.torch import load

    if not path.exists():
        return None
    try:
        return _levels(load(read_plain(path)))
    except (SafetensorError, ValueError, KeyError) as error:
        _log.warning(
            "the statistics in %s cannot be used (%s), and are measured again",
            printable(path),
            error,
        )
        return None


def _levels(tensors: dict[str, Tensor]) -> list[LevelStatistics]:
    def band(level: int, name: str) -> BandStatistics:
        return BandStatistics(
            *(tensors[f"{level}.{name}.{field}"] for field in BandStatistics._fields)
        )

    if not all(value.isfinite().all() for value in tensors.values()):
        raise DataError("they must be finite")
    levels = 1 + max(int(name.split(".")[0]) for name in tensors)
    return [
        LevelStatistics(*(band(level, name) for name in LevelStatistics._fields))
        for level in range(levels)
    ]


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _rank() -> int:
    return torch.distributed.get_rank() if _distributed() else 0
