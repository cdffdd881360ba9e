"""Reading ``metrics.csv``, also while a run still writes it, and of runs that were killed."""

import csv
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wavelight.evaluation.results.records import Column, Point, Score
from wavelight.metrics.directions import higher_is_better

NAME = "metrics.csv"

_MEASURED = re.compile(r"(val|test)/(\w*?[A-Za-z_])(\d+)(k?)")
_OF_AN_EMA = re.compile(r"_ema\d")
"""In names of the metrics of EMAs beside a run's own, which stand for no row of their own."""

_MOST_TELLING = ("fid", "fwd")
_WITHOUT_DIGITS = {"fid", "fwd", "kid", "precision", "recall", "density", "coverage", "frechet"}
"""Metrics whose names end with no digit, so that all that follow are the number of images."""


class Logged(NamedTuple):
    """A number in a row of the file."""

    column: Column
    point: Point


class MetricsFile(NamedTuple):
    """What the file says of quality."""

    logged: list[Logged]
    device_hours: float | None
    """The latest."""

    damaged: int
    """Lines that are cut or hold other things."""


def read_metrics(path: Path, against: str = "", counts: Collection[int] = ()) -> MetricsFile:
    """Return every metric that was logged, in the order of the file.

    Args:
        path: The file.
        against: The real images, as :class:`Column` has them.
        counts: As :func:`column_of` takes them.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no CSV.
    """
    # A byte that is no text spoils its line alone.
    text = path.read_text(errors="replace").replace("\0", "")
    try:
        header, *lines = list(csv.reader(text.splitlines())) or [[]]
    except csv.Error as error:
        raise ValueError(f"{path} must be a CSV file: {error}") from error
    rows = [dict(zip(header, line, strict=True)) for line in lines if len(line) == len(header)]
    cut = bool(text) and not text.endswith("\n")
    if cut and rows and len(lines[-1]) == len(header):
        # Its last number may lack digits.
        rows.pop()
        damaged = len(lines) - len(rows)
    else:
        damaged = len(lines) - len(rows)
    columns = {name: column for name in header if (column := column_of(name, against, counts))}
    places = list(_places(rows))
    hours = _Hours(rows, places)
    logged = [
        Logged(column, Point(seen, hours.at(seen), value))
        for row, seen in zip(rows, places, strict=True)
        for name, column in columns.items()
        if (value := _number(row[name])) is not None
    ]
    return MetricsFile(logged, hours.newest, damaged)


def _places(rows: Sequence[Mapping[str, str]]) -> Iterator[int]:
    """Yield the images seen at each row: those of the row before where it does not say."""
    seen = 0
    for row in rows:
        told = _number(row.get("images_seen"))
        seen = seen if told is None else int(told)
        yield seen


class _Hours:
    """Device hours after any number of images, in proportion between the rows that have them."""

    def __init__(self, rows: Sequence[Mapping[str, str]], places: Sequence[int]) -> None:
        known = {0: 0.0}
        for row, seen in zip(rows, places, strict=True):
            hours = _number(row.get("device_hours"))
            if hours is not None and seen > 0:
                known[seen] = hours
        self._seen = sorted(known)
        self._hours = [known[seen] for seen in self._seen]

    @property
    def newest(self) -> float | None:
        """The latest that a row has; None where no row has any."""
        return self._hours[-1] if len(self._seen) > 1 else None

    def at(self, seen: int) -> float | None:
        """Return the hours of so many images; None where no row has any."""
        if self.newest is None:
            return None
        # A validation follows the last row of losses at once.
        further = max(1.0, seen / self._seen[-1])
        return float(np.interp(seen, self._seen, self._hours)) * further


def column_of(name: str, against: str = "", counts: Collection[int] = ()) -> Column | None:
    """Return the column of a name in logs; None of names that are no metric.

    >>> column_of("test/fid50k")
    Column(metric='fid', images=50000, stage='test', against='')
    >>> column_of("val/fwd2048").images, column_of("val/fwd2048_held_out"), column_of("train/loss")
    (2048, None, None)
    >>> column_of("val/fd_dinov22048", counts=[2048]).metric
    'fd_dinov2'
    >>> column_of("test/fid2500", counts=[500]).images, column_of("val/fid10k_ema0_999")
    (2500, None)

    Args:
        name: The name.
        against: The real images, as :class:`Column` has them.
        counts: Numbers of images that the run was to generate, which part it where the metric's own name ends with a
            digit.
    """
    found = _MEASURED.fullmatch(name)
    if not found or _OF_AN_EMA.search(name):
        return None
    stage, metric, digits, thousands = found.groups()
    # A test may generate another number than its run was to.
    for end in range(0 if metric in _WITHOUT_DIGITS else len(digits)):
        images = int(digits[end:]) * (1000 if thousands else 1)
        if images in counts and digits[end] != "0":
            return Column(metric + digits[:end], images, stage, against)
    return Column(metric, int(digits) * (1000 if thousands else 1), stage, against)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def scores_of(logged: Sequence[Logged], monitor: str | None) -> dict[Column, Score]:
    """Return the values that stand for a run: those of its newest test, and of its best validation.

    The best validation is one, that of the best value of one metric: all other metrics are taken from there.

    Args:
        logged: All that was logged.
        monitor: The metric by which the run chose its best checkpoint; without one, FID or ``fwd``.
    """
    tested = {
        column: Score(point.value, point.images_seen)
        for column, point in logged
        if column.stage == "test"
    }
    return tested | _best_validation(logged, monitor)


def _best_validation(logged: Sequence[Logged], monitor: str | None) -> dict[Column, Score]:
    evaluations: dict[int, dict[Column, float]] = {}
    for column, point in logged:
        if column.stage == "val":
            evaluations.setdefault(point.images_seen, {})[column] = point.value
    leading = _leading(evaluations, monitor)
    if leading is None:
        return {}
    having = [(seen, values) for seen, values in evaluations.items() if leading in values]
    choose = max if higher_is_better(leading.metric) else min
    seen, values = choose(having, key=lambda evaluation: evaluation[1][leading])
    return {column: Score(value, seen) for column, value in values.items()}


def _leading(
    evaluations: Mapping[int, Mapping[Column, float]], monitor: str | None
) -> Column | None:
    columns = list(dict.fromkeys(column for values in evaluations.values() for column in values))
    for metric in (monitor, *_MOST_TELLING):
        for column in columns:
            if column.metric == metric:
                return column
    return next(iter(columns), None)


def curves_of(logged: Sequence[Logged]) -> dict[Column, tuple[Point, ...]]:
    """Return the learning curves: every metric of validations against training, by images seen."""
    found: dict[Column, dict[int, Point]] = {}
    for column, point in logged:
        if column.stage == "val":
            # What went on after a stop may have been measured twice.
            found.setdefault(column, {})[point.images_seen] = point
    return {column: tuple(_sorted(points)) for column, points in found.items()}


def _sorted(points: Mapping[int, Point]) -> Iterator[Point]:
    return (points[seen] for seen in sorted(points))
