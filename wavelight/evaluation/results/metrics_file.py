"""Reading ``metrics.csv``, also while a run still writes it, and of runs that were killed."""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from wavelight.evaluation.directions import higher_is_better
from wavelight.evaluation.results.records import Column, Point, Score

NAME = "metrics.csv"

_MEASURED = re.compile(r"(val|test)/(\w*?[A-Za-z_])(\d+)(k?)")
_MOST_TELLING = ("fid", "fwd")


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


def read_metrics(path: Path, against: str = "") -> MetricsFile:
    """Return every metric that was logged, in the order of the file.

    Args:
        path: The file.
        against: The real images, as :class:`Column` has them.

    Raises:
        OSError: If it cannot be read.
    """
    # A byte that is no text spoils its line alone.
    text = path.read_text(errors="replace").replace("\0", "")
    header, *lines = list(csv.reader(text.splitlines())) or [[]]
    rows = [dict(zip(header, line, strict=True)) for line in lines if len(line) == len(header)]
    cut = bool(text) and not text.endswith("\n")
    if cut and rows and len(lines[-1]) == len(header):
        # Its last number may lack digits.
        rows.pop()
        damaged = len(lines) - len(rows)
    else:
        damaged = len(lines) - len(rows)
    columns = {name: column for name in header if (column := column_of(name, against))}
    logged = list[Logged]()
    images_seen, hours = 0, None
    for row in rows:
        images_seen = int(_number(row.get("images_seen")) or images_seen)
        hours = _number(row.get("device_hours")) or hours
        logged += [
            Logged(column, Point(images_seen, hours, value))
            for name, column in columns.items()
            if (value := _number(row[name])) is not None
        ]
    return MetricsFile(logged, hours, damaged)


def column_of(name: str, against: str = "") -> Column | None:
    """Return the column of a name in logs; None of names that are no metric.

    >>> column_of("test/fid50k")
    Column(metric='fid', images=50000, stage='test', against='')
    >>> column_of("val/fwd2048").images, column_of("val/fwd2048_held_out"), column_of("train/loss")
    (2048, None, None)
    """
    found = _MEASURED.fullmatch(name)
    if not found:
        return None
    stage, metric, count, thousands = found.groups()
    return Column(metric, int(count) * (1000 if thousands else 1), stage, against)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def scores_of(logged: Sequence[Logged], monitor: str | None) -> dict[Column, Score]:
    """Return the values that stand for a run: those of its newest test, and of its best validation what no test has.

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
    validated = {
        column: score
        for column, score in _best_validation(logged, monitor).items()
        if column.metric not in {column.metric for column in tested}
    }
    return tested | validated


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
