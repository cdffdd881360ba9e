"""The papers' tables: ``published.yaml``, with their sources."""

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from wavelight.config import bounded_yaml

_FILE = Path(__file__).parent / "published.yaml"


class PublishedRow(NamedTuple):
    """A row as it is printed; None is what the source leaves blank."""

    system: str
    fid: float | None = None
    recall: float | None = None
    nfe: int | None = None
    seconds: float | None = None
    """Of what :attr:`PublishedTable.timed` says."""

    parameters: int | None = None
    note: str = ""
    """What the source has beside its numbers."""

    experiment: str | None = None
    """The experiment that reproduces it."""


class PublishedTable(NamedTuple):
    """A table of a paper on one data set."""

    title: str
    datasets: tuple[str, ...]
    """The names of the data set, in small letters and digits alone."""

    resolution: int
    source: str
    timed: str
    """What the seconds are of: images, hardware."""

    rows: tuple[PublishedRow, ...]
    ablation: bool = False
    """Whether its rows are one system without some of its parts."""

    def is_of(self, dataset: str, resolution: int) -> bool:
        """Tell whether it is of a data set, whose name may end with the side of its images.

        >>> table = PublishedTable("", ("celebahq",), 256, "", "", ())
        >>> table.is_of("CelebA-HQ 256", 256), table.is_of("celeba_hq", 128)
        (True, False)

        Args:
            dataset: The name of the data set.
            resolution: The side of its images, in pixels.
        """
        bare = re.sub(r"[\W_]", "", dataset.lower())
        names = {bare, bare.removesuffix(str(resolution))}
        return resolution == self.resolution and not names.isdisjoint(self.datasets)


class SingleImageTime(NamedTuple):
    """The time of one image of WaveDiff on one A100."""

    experiment: str
    resolution: int
    nfe: int
    seconds: float


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """Return all tables, in the order of the file."""
    return tuple(_table(**table) for table in _content()["tables"])


@cache
def single_image_times() -> tuple[SingleImageTime, ...]:
    """Return the times of one image, which have a table of their own."""
    return tuple(SingleImageTime(**row) for row in _content()["single_image_times"]["rows"])


def _content() -> dict[str, Any]:
    content: dict[str, Any] = bounded_yaml.read(_FILE)
    return content


def _table(rows: list[dict[str, Any]], datasets: list[str], **facts: Any) -> PublishedTable:
    return PublishedTable(
        rows=tuple(PublishedRow(**row) for row in rows), datasets=tuple(datasets), **facts
    )
