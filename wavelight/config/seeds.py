"""Runs that differ in their seed alone: which they are, their mean, and its confidence interval."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple, Protocol, TypeVar

from scipy.stats import t

from wavelight.config.differences import Difference, first_difference

CONFIDENCE = 0.95
"""Probability that an interval holds the mean over all seeds, if values over seeds are normal."""

_OF_NO_SYSTEM = (
    "seed_everything",
    "ckpt_path",
    "model.seed",
    "data.seed",
    "data.name",
    "trainer.default_root_dir",
)


class Mean(NamedTuple):
    """The mean over some seeds, and the half width of its confidence interval."""

    value: float
    half_width: float
    """Half the width of the interval of ``CONFIDENCE``."""

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.half_width:.2g}"


class SeededRun(Protocol):
    """A run, as far as it takes to tell whether it is a seed of the same system as another."""

    @property
    def name(self) -> str:
        """A name that no other run has."""

    @property
    def seed(self) -> int | None:
        """The seed of its training; None where it is not known."""

    @property
    def folder(self) -> Path:
        """Its folder."""


Run = TypeVar("Run", bound=SeededRun)


def mean_over_seeds(values: Sequence[float]) -> Mean:
    """Return the mean and its 95 % interval by Student's t (Gosset, 1908), which is exact for normal values.

    >>> print(mean_over_seeds([1.0, 2.0, 3.0]))
    2 ± 2.5
    >>> print(mean_over_seeds([1.0, 1.0]))
    1 ± 0

    Args:
        values: The value of each seed, at least two.
    """
    error = stdev(values) / sqrt(len(values))
    # Not t.interval, which knows no interval of values that are all equal.
    quantile = t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return Mean(fmean(values), float(quantile) * error)


def difference_but_seed(one: Mapping[str, Any], other: Mapping[str, Any]) -> Difference | None:
    """Return the first option of training in which two runs differ, or None if they are seeds of one system.

    The seed, the folder, the loggers, and what the data are called and papers say of them do not count.

    Args:
        one: The resolved configuration of a run.
        other: That of another.
    """
    sections = dict.fromkeys([*one, *other])
    found = (first_difference(one.get(name), other.get(name), name, _matters) for name in sections)
    return next(filter(None, found), None)


def _matters(option: str) -> bool:
    sections = ("trainer.logger.", "published.")
    return option not in _OF_NO_SYSTEM and not f"{option}.".startswith(sections)


def groups_of_seeds(
    runs: Sequence[Run], why_apart: Callable[[Run, Run], str | None]
) -> tuple[list[list[Run]], list[str]]:
    """Put runs that are seeds of one system together, in the order in which they come.

    Runs that were trained twice with one seed stand alone: that is no second observation.

    Args:
        runs: All runs.
        why_apart: Returns why two runs are no seeds of one system, as words that follow "because"; empty if they differ
            in more than that, and None if they are.

    Returns:
        The groups, and a sentence on every run that might be expected in another.
    """
    found: list[list[Run]] = []
    notes: list[str] = []
    for run in runs:
        reasons = [why_apart(group[0], run) for group in found]
        if None in reasons:
            found[reasons.index(None)].append(run)
            continue
        notes += [
            f"{group[0].name} and {run.name} are not joined as seeds of one system, because {reason}."
            for group, reason in zip(found, reasons, strict=True)
            if reason
        ]
        found.append([run])
    groups: list[list[Run]] = []
    for group in found:
        if len({run.seed for run in group}) == len(group):
            groups.append(group)
        else:
            groups += [[run] for run in group]
            names = ", ".join(run.name for run in group)
            notes.append(f"{names} are not joined, because a seed is among them twice.")
    return groups, notes


def names_of_groups(groups: Sequence[Sequence[SeededRun]]) -> list[str]:
    """Return a name for each group, which is what its runs are called apart from their seeds.

    It is gan, of gan-1 and gan-2, or of gan/seed-1 and gan/seed-2. Where two groups would share a name, it is those
    of all runs.
    """
    names = [_group_name(group) for group in groups]
    return [
        name if names.count(name) == 1 else ", ".join(run.name for run in group)
        for group, name in zip(groups, names, strict=True)
    ]


def _group_name(group: Sequence[SeededRun]) -> str:
    if len(group) == 1:
        return group[0].name
    bare = {re.sub(rf"[\W_]*(seed)?[\W_]*{run.seed}$", "", run.name) for run in group}
    if len(bare) > 1:
        return ", ".join(run.name for run in group)
    return bare.pop() or Path(os.path.commonpath([run.folder for run in group])).name
