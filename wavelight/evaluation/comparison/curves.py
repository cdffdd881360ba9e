"""Curves of a comparison: each metric against steps and against MACs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch.utilities import rank_zero_only

from wavelight.config.seeds import Mean
from wavelight.evaluation.comparison.seeds import Seeds
from wavelight.metrics.directions import arrow, is_share
from wavelight.support.figures import count_from, count_in_numbers, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "os^vDPX<>*"
"""A system's marker, beside its colour: for printers, and for eyes that tell few colours apart."""


@rank_zero_only
def plot_comparison(figure: "Figure", systems: Sequence[Seeds], path: Path) -> None:
    """Plot each metric against steps and against MACs, a curve a system.

    Several seeds are their mean and its interval, over faint points of their own.
    """
    rows = [row for system in systems for row in system.rows]
    names = list(rows[0].values)
    figure.set_size_inches(11, 3.6 * len(names))
    grid = figure.subplots(len(names), 2, sharey="row", squeeze=False)
    taken = sorted({row.mean_steps for row in rows})
    for name, (against_steps, against_cost) in zip(names, grid, strict=True):
        _plot_curves(against_steps, systems, name, [each.first.mean_steps for each in systems])
        against_steps.set_xscale("log")
        against_steps.set_xticks(taken, [f"{number:.3g}" for number in taken])
        against_steps.set_xticks([], minor=True)
        alike = all(row.alike for row in rows)
        against_steps.set_xlabel("steps" if alike else "steps at a scale, mean")
        images = rows[0].conditions["images"]
        against_steps.set_ylabel(f"{name} of {images:,} images {arrow(name)}")
        _plot_curves(against_cost, systems, name, [each.first.gigamacs for each in systems])
        count_in_numbers(against_cost, "x", [each.first.gigamacs for each in systems])
        against_cost.set_xlabel("GMACs an image")
    grid[0, 1].legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    save_figure(figure, path)


def _plot_curves(
    axes: "Axes", systems: Sequence[Seeds], metric: str, places: Sequence[float]
) -> None:
    """Plot a curve a system, and points apart from it where steps differ between its scales."""
    row = systems[0].first
    floor = row.held_out.get(metric)
    for number, name in enumerate(dict.fromkeys(system.system for system in systems)):
        color, marker = f"C{number}", _MARKERS[number % len(_MARKERS)]
        for alike, line, ending in ((True, "-", ""), (False, "", ", steps by scale")):
            curve = sorted(
                (
                    (place, system)
                    for place, system in zip(places, systems, strict=True)
                    if system.system == name and system.first.alike == alike
                ),
                key=lambda point: point[0],
            )
            if curve:
                _plot_seeds(axes, curve, metric, color)
                _plot_means(axes, curve, metric, color, marker + line, name + ending)
    if floor is not None:
        label = f"held-out real images ({row.held_out_images:,})"
        axes.axhline(floor, linestyle="--", color="gray", label=label)
    shown = [row.values[metric] for system in systems for row in system.rows]
    shown += [] if floor is None else [floor]
    if is_share(metric):
        count_from(axes, 0, 1, shown)
    else:
        count_in_numbers(axes, "y", shown)
    axes.grid(alpha=0.3, which="both")


def _plot_seeds(
    axes: "Axes", curve: Sequence[tuple[float, Seeds]], metric: str, color: str
) -> None:
    points = [
        (place, row.values[metric])
        for place, system in curve
        if len(system.rows) > 1
        for row in system.rows
    ]
    if points:
        axes.plot(*zip(*points, strict=True), ".", color=color, alpha=0.35)


def _plot_means(
    axes: "Axes",
    curve: Sequence[tuple[float, Seeds]],
    metric: str,
    color: str,
    style: str,
    label: str,
) -> None:
    values = [system.value(metric) for _, system in curve]
    axes.errorbar(
        [place for place, _ in curve],
        [value.value if isinstance(value, Mean) else value for value in values],
        yerr=[value.half_width if isinstance(value, Mean) else 0.0 for value in values],
        fmt=style,
        capsize=3,
        color=color,
        markerfacecolor=color if style.endswith("-") else "none",
        label=label,
    )
