"""Records of what was measured: of one training, or of one folder of images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wavelight.evaluation.results.published import PublishedRow
from wavelight.metrics.directions import arrow, higher_is_better

PAPERS = 50_000
"""Generated images that papers measure, unless they say otherwise."""


class Column(NamedTuple):
    """A number that was measured, and all that it must share with others to be compared with them."""

    metric: str
    """Without the number of images: ``fid``."""

    images: int | None
    """How many were generated."""

    stage: str
    """How it came to be: ``test``, ``val``, ``compare``, ``measure``."""

    against: str = ""
    """The real images, where they are not all of the training part."""

    @property
    def title(self) -> str:
        """The metric, with an arrow that points to better values."""
        return f"{self.metric} {arrow(self.metric)}"

    @property
    def conditions(self) -> str:
        """All else, in words."""
        images = "" if self.images is None else f"{self.images:,} images"
        return ", ".join(filter(None, (self.stage, images, self.against)))

    def better(self, one: float, other: float) -> bool:
        """Tell whether one value is better than another."""
        return one > other if higher_is_better(self.metric) else one < other


class Score(NamedTuple):
    """The value of a column, and how long the network had been trained."""

    value: float
    images_seen: int | None


class Point(NamedTuple):
    """A point of a learning curve."""

    images_seen: int
    device_hours: float | None
    value: float


class Cost(NamedTuple):
    """What an image costs to sample, as far as it is known."""

    nfe: float | None = None
    gmacs: float | None = None
    parameters: float | None = None


class DataSet(NamedTuple):
    """The images that a system was trained on."""

    name: str
    resolution: int | None
    options: Mapping[str, Any]
    """Options that decide which images they are; two data sets are one if all of them are equal."""

    @property
    def title(self) -> str:
        """The name and the size of the images."""
        return self.name if self.resolution is None else f"{self.name}, {self.resolution} px"


class Training(NamedTuple):
    """How a run came about, as far as its folder tells."""

    device_hours: float | None = None
    device: str = ""
    command: str = ""
    revision: str = ""


class Record(NamedTuple):
    """One training at one setting of its sampling, or a folder of images of whatever origin."""

    name: str
    folder: Path
    """The run's, or that of the images."""

    data: DataSet
    scores: Mapping[Column, Score]
    seed: int | None = None
    config: Mapping[str, Any] | None = None
    """The resolved configuration; None where it is not known."""

    system: str = ""
    """The name of the system's class."""

    variant: str = ""
    """A name that its seeds share, where the file says so; empty where it is to be found out."""

    cost: Cost = Cost()
    training: Training = Training()
    curves: Mapping[Column, tuple[Point, ...]] = {}
    held_out: Mapping[Column, float] = {}
    """Values of held-out real images, which no system is to be expected to surpass by much."""

    published: PublishedRow | None = None
    """What its configuration says that a paper says of the same experiment."""
