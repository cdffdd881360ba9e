"""Figures of a report: learning curves, and cost against quality."""

from collections.abc import Callable, Iterator, Sequence
from math import isinf
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple, cast

from wavelight.evaluation.results.pareto import pareto_front
from wavelight.evaluation.results.records import Column, Cost, Point
from wavelight.evaluation.results.sections import FID, RECALL, Section, by_rank
from wavelight.evaluation.results.strokes import PAGE, look_of, svg
from wavelight.evaluation.results.systems import System
from wavelight.metrics.directions import is_share
from wavelight.support.figures import count_from, count_in_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as RootFigure

_COSTS = {"nfe": "NFE", "gmacs": "GMACs an image"}


class Figure(NamedTuple):
    """A figure, and the sentence below it."""

    svg: str
    caption: str


def learning_curves(section: Section, name: str) -> Iterator[Figure]:
    """Yield every metric of validations against images seen, and against device hours where they are known.

    Args:
        section: The systems.
        name: A name of the section that no other has.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    records = [record for system in section.systems for record in system.records]
    curved = {
        column for record in records for column, curve in record.curves.items() if len(curve) > 1
    }
    axes_of_training: dict[str, Callable[[Point], float | None]] = {
        "images seen": lambda point: point.images_seen,
        "device hours": lambda point: point.device_hours,
    }
    for column in by_rank(curved):
        for against, place in axes_of_training.items():
            known = any(
                place(point) is not None
                for record in records
                for point in record.curves.get(column, ())
            )
            if known:
                title = f"{column.title} against {against}"
                floor = "; dotted: held-out real images" if _floors(section, column) else ""
                yield Figure(
                    svg(_Curves(section, column, against, place), f"{name} {title}", title),
                    f"{column.title} ({column.conditions}) against {against}{floor}",
                )


class _Curves:
    """Plots a curve for each system: the mean over seeds where they were measured alike, over those of each seed."""

    def __init__(
        self,
        section: Section,
        column: Column,
        against: str,
        place: Callable[[Point], float | None],
    ) -> None:
        self.section = section
        self.column = column
        self.against = against
        self.place = place

    def __call__(self, axes: "Axes") -> None:
        from matplotlib.ticker import EngFormatter

        shown: list[float] = []
        placed: list[float] = []
        for number, system in enumerate(self.section.systems):
            look = look_of(number)
            curves = [record.curves.get(self.column, ()) for record in system.records]
            for curve in curves:
                points = self._plot(axes, curve, color=look.colour, alpha=0.35, linewidth=0.8)
                placed += [place for place, _ in points]
                shown += [value for _, value in points]
            self._plot(
                axes, _mean_curve(curves), color=look.colour, marker=look.marker, markersize=4
            )
        for floor in _floors(self.section, self.column):
            axes.axhline(floor, linestyle=":", color=PAGE, alpha=0.7)
            shown.append(floor)
        _scale(axes, self.column, shown)
        # Thousands and millions are K and M; hours may be thousandths.
        axes.xaxis.set_major_formatter(EngFormatter(sep="") if max(placed) > 1000 else "{x:g}")
        axes.set_xlabel(self.against)
        axes.set_ylabel(self.column.title)

    def _plot(
        self, axes: "Axes", curve: Sequence[Point], **style: object
    ) -> list[tuple[float, float]]:
        placed = [
            (place, point.value) for point in curve if (place := self.place(point)) is not None
        ]
        if placed:
            axes.plot(*zip(*placed, strict=True), **style)  # type: ignore[arg-type]
        return placed


def _mean_curve(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """Return the mean of the curves where all of them have a point."""
    curves = [curve for curve in curves if curve]
    by_place = [{point.images_seen: point for point in curve} for curve in curves]
    shared = [seen for seen in (by_place or [{}])[0] if all(seen in points for points in by_place)]
    found = []
    for seen in shared:
        points = [each[seen] for each in by_place]
        hours = [point.device_hours for point in points if point.device_hours is not None]
        mean_hours = fmean(hours) if len(hours) == len(points) else None
        found.append(Point(seen, mean_hours, fmean(point.value for point in points)))
    return found


def cost_and_quality(section: Section, name: str) -> Iterator[Figure]:
    """Yield quality against NFE and against GMACs, published points beside the measured, with the Pareto front.

    Args:
        section: The systems.
        name: A name of the section that no other has.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    column = section.main
    for cost, title in _COSTS.items():
        plot = _Costs(section, column, cost)
        # One point says nothing.
        if not plot.measured or len(plot.measured) + len(plot.published) < 2:
            continue
        figure_title = f"{column.title} against {title}"
        caption = f"{figure_title} ({column.conditions}){plot.said_below}"
        yield Figure(svg(plot, f"{name} {figure_title}", figure_title), caption)


class _Costs:
    """Plots the mean of each system, with its interval, at its cost."""

    def __init__(self, section: Section, column: Column, cost: str) -> None:
        self.column = column
        self.cost = cost
        place = Cost._fields.index(cost)
        self.measured = [
            (number, system, where)
            for number, system in enumerate(section.systems)
            if (where := system.first.cost[place]) is not None and system.scores(column)
        ]
        self.published = list(_published_points(section, column)) if cost == "nfe" else []
        self.comparable = column in (FID, RECALL)
        self.left_out = [
            system.name
            for system in section.systems
            if system.name not in {system.name for _, system, _ in self.measured}
        ]

    @property
    def said_below(self) -> str:
        """What its marks mean, and which systems have none."""
        hollow = f"; hollow: published, {FID.conditions}" if self.published else ""
        all_points = self.comparable and self.published
        front = f"; dashed: the Pareto front of {'all' if all_points else 'the measured'} points"
        without = f"; without {', '.join(self.left_out)}, not measured so" if self.left_out else ""
        return hollow + front + without

    def __call__(self, axes: "Axes") -> None:
        points = [point for _, point in self.published]
        if self.published:
            axes.plot(
                *zip(*points, strict=True), "o", color=PAGE, alpha=0.6, markerfacecolor="none"
            )
        measured = [self._plot(axes, *each) for each in self.measured]
        front = pareto_front([*measured, *(points if self.comparable else [])], self.column.better)
        axes.plot(*zip(*front, strict=True), "--", color=PAGE, alpha=0.6, linewidth=1)
        shown = [*measured, *points]
        count_in_numbers(axes, "x", [cost for cost, _ in shown])
        _scale(axes, self.column, [value for _, value in shown])
        axes.margins(x=0.12)
        axes.set_xlabel(_COSTS[self.cost])
        axes.set_ylabel(self.column.title)
        _label(axes, self.published)

    def _plot(self, axes: "Axes", number: int, system: System, where: float) -> tuple[float, float]:
        mean, look = system.mean(self.column), look_of(number)
        assert mean is not None
        width = 0 if isinf(mean.half_width) else mean.half_width
        axes.errorbar(
            where, mean.value, yerr=width, fmt=look.marker, color=look.colour, capsize=3, zorder=3
        )
        return where, mean.value


def _published_points(
    section: Section, column: Column
) -> Iterator[tuple[str, tuple[float, float]]]:
    for table in section.published:
        for row in table.rows:
            value = {"fid": row.fid, "recall": row.recall}.get(column.metric)
            if value is not None and row.nfe is not None:
                yield row.system, (row.nfe, value)


def _label(axes: "Axes", named: Sequence[tuple[str, tuple[float, float]]]) -> None:
    """Write names beside points, the lower of two that would overlap further down."""
    figure = cast("RootFigure", axes.get_figure(root=True))
    figure.draw_without_rendering()
    placed: list[tuple[float, float, float]] = []
    for name, point in sorted(named, key=lambda each: -each[1][1]):
        left, height = axes.transData.transform(point)
        right = left + _CHARACTER * len(name)
        wanted = height
        for other_left, other_right, other in placed:
            if left < other_right and other_left < right:
                wanted = min(wanted, other - _LINE)
        placed.append((left, right, wanted))
        axes.annotate(
            name,
            point,
            (_BESIDE, 72 / figure.dpi * (wanted - height)),
            textcoords="offset points",
            fontsize=7,
            va="center",
            alpha=0.85,
        )


_CHARACTER, _LINE, _BESIDE = 5.5, 11, 5
"""Pixels of a character and of a line of a label, and points between it and its mark."""


def _floors(section: Section, column: Column) -> list[float]:
    """Return the value of held-out real images, which is the data's and no run's, if a run tells it."""
    floors = [
        record.held_out[column]
        for system in section.systems
        for record in system.records
        if column in record.held_out
    ]
    return floors[:1]


def _scale(axes: "Axes", column: Column, shown: Sequence[float]) -> None:
    if is_share(column.metric):
        count_from(axes, 0, 1, shown)
    else:
        count_in_numbers(axes, "y", shown)
