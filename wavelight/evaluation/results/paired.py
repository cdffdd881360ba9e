"""Paired tests of two systems that were trained with the same seeds."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.stats import ttest_rel

from wavelight.config.seeds import CONFIDENCE
from wavelight.evaluation.results.records import Column
from wavelight.evaluation.results.systems import System


class PairedTest(NamedTuple):
    """Student's t-test on the differences of two systems at the seeds that they share (Gosset, 1908)."""

    one: str
    other: str
    column: Column
    pairs: int
    """The seeds that both have."""

    difference: float | None = None
    """The mean of the first minus the second; None of fewer than two pairs, which say nothing."""

    interval: tuple[float, float] | None = None
    """Of the difference, 95 %; None also where all differences are equal, of which t knows none."""

    p_value: float | None = None
    """Two-sided, as if it were the only test."""


def paired_tests(systems: Sequence[System], columns: Sequence[Column]) -> Iterator[PairedTest]:
    """Test every two systems in every column that both have.

    Args:
        systems: Systems on one data set.
        columns: The columns to test.
    """
    for column in columns:
        for one, other in combinations(systems, 2):
            first, second = one.scores(column), other.scores(column)
            if not first or not second:
                continue
            shared = [seed for seed in first if seed in second and seed is not None]
            found = PairedTest(one.name, other.name, column, len(shared))
            if len(shared) < 2:
                yield found
                continue
            yield _tested(
                found,
                np.array([first[seed].value for seed in shared]),
                np.array([second[seed].value for seed in shared]),
            )


def _tested(test: PairedTest, first: np.ndarray, second: np.ndarray) -> PairedTest:
    differences = first - second
    test = test._replace(difference=float(differences.mean()))
    if np.ptp(differences) == 0:
        return test
    result = ttest_rel(first, second)
    interval = result.confidence_interval(CONFIDENCE)
    return test._replace(
        interval=(float(interval.low), float(interval.high)), p_value=float(result.pvalue)
    )
