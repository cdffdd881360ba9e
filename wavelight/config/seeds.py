"""Runs that differ in their seed alone: their mean, and its confidence interval."""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any, NamedTuple

from scipy.stats import t

from wavelight.config.differences import Difference, first_difference

CONFIDENCE = 0.95
"""Probability that an interval holds the mean over all seeds, if values over seeds are normal."""

_OF_A_SEED = (
    "seed_everything",
    "ckpt_path",
    "model.seed",
    "data.seed",
    "trainer.default_root_dir",
)


class Mean(NamedTuple):
    """The mean over some seeds, and the half width of its confidence interval."""

    value: float
    half_width: float
    """Half the width of the interval of ``CONFIDENCE``."""

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.half_width:.2g}"


def mean_over_seeds(values: Sequence[float]) -> Mean:
    """Return the mean and its 95 % interval by Student's t (Gosset, 1908), which is exact for normal values.

    >>> print(mean_over_seeds([1.0, 2.0, 3.0]))
    2 ± 2.5

    Args:
        values: The value of each seed, at least two.
    """
    error = stdev(values) / sqrt(len(values))
    _, half_width = t.interval(CONFIDENCE, len(values) - 1, scale=error)
    return Mean(fmean(values), float(half_width))


def difference_but_seed(one: Mapping[str, Any], other: Mapping[str, Any]) -> Difference | None:
    """Return the first option of training in which two runs differ, or None if they are seeds of one system.

    The seed, the folder and the loggers do not count.

    Args:
        one: The resolved configuration of a run.
        other: That of another.
    """
    sections = dict.fromkeys([*one, *other])
    found = (first_difference(one.get(name), other.get(name), name, _matters) for name in sections)
    return next(filter(None, found), None)


def _matters(option: str) -> bool:
    return option not in _OF_A_SEED and not f"{option}.".startswith("trainer.logger.")
