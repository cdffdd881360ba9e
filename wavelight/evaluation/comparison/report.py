"""Report of a comparison: lines as rows come, a table, and curves; seeds of one system together."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from lightning.pytorch.utilities import rank_zero_only

from wavelight.config.seeds import Mean, mean_over_seeds
from wavelight.evaluation.comparison.rows import ComparisonRow
from wavelight.support.figures import save_figure
from wavelight.support.tables import markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEGEND = (
    "NFE: evaluations, network by network. GMACs: 10^9 MACs of an image, of convolutions, linear layers and "
    "attention.",
    "ms: an image's share of the time in which one device sampled these very images, waited for, without the first "
    "batch where there are more ({where}).",
)
_LEGEND_OF_SEEDS = (
    "seeds: trainings that differ in their seed alone. Values of several are their mean ± half the width of its 95 % "
    "interval (Student's t); all sampled from the same noise."
)


class Seeds(NamedTuple):
    """One system at one setting of its steps: a row for each seed that it was trained with."""

    system: str
    rows: list[ComparisonRow]

    @property
    def first(self) -> ComparisonRow:
        """The row of the first seed, for all that is the same in all rows."""
        return self.rows[0]

    @property
    def milliseconds(self) -> float:
        """Mean seconds to sample an image."""
        return fmean(row.milliseconds for row in self.rows)

    def value(self, metric: str) -> float | Mean:
        """Return a metric's value, with its interval where there are several seeds."""
        values = [row.values[metric] for row in self.rows]
        return values[0] if len(values) == 1 else mean_over_seeds(values)


def seeds_of_systems(rows: Sequence[ComparisonRow], systems: Mapping[str, str]) -> list[Seeds]:
    """Put rows of one system and the same steps together, in the order in which they come.

    Args:
        rows: Rows of all systems.
        systems: The system of each run, by the run's name.

    Raises:
        ValueError: If rows that belong together do not cost the same.
    """
    found: dict[tuple[str, tuple[int, ...]], list[ComparisonRow]] = {}
    for row in rows:
        found.setdefault((systems[row.system], tuple(row.steps)), []).append(row)
    for (system, _), alike in found.items():
        for row in alike:
            if row.networks != alike[0].networks:
                raise ValueError(
                    f"{alike[0].system} and {row.system} are seeds of {system}, but cost "
                    f"{alike[0].gigamacs:.4g} and {row.gigamacs:.4g} billion MACs an image: measure "
                    "both with the same code"
                )
    return [Seeds(system, alike) for (system, _), alike in found.items()]


@rank_zero_only
def tell_row(row: ComparisonRow, note: str = "") -> None:
    """Write a row to stderr, in one line.

    Args:
        row: The row to show.
        note: A remark to add in brackets.
    """
    values = "  ".join(f"{name} {value:.4g}" for name, value in row.values.items())
    line = f"{row.system}, steps {_steps(row)}: {values}  {row.milliseconds:.4g} ms an image"
    sys.stderr.write(line + (f" ({note})\n" if note else "\n"))
    sys.stderr.flush()


def _steps(row: ComparisonRow) -> str:
    taken = row.taken[:1] if row.alike else row.taken
    return " + ".join(map(str, taken))


@rank_zero_only
def report_comparison(systems: Sequence[Seeds]) -> str:
    """Return the conditions and the table, as Markdown."""
    rows = [row for system in systems for row in system.rows]
    conditions, floor = rows[0].conditions, _floor(rows[0])
    real = conditions["reference_images"]
    where = dict.fromkeys(f"{row.device}, {row.batch_size} at once" for row in rows)
    caption = (
        f"{conditions['images']:,} images of seed {conditions['seed']} a row, against "
        f"{'all' if real is None else f'{real:,}'} real images of the training part.{floor}"
    )
    legend = [line.format(where="; ".join(where)) for line in _LEGEND]
    several = any(len(system.rows) > 1 for system in systems)
    if several:
        legend.append(_LEGEND_OF_SEEDS)
    cells = [_cells(system, several) for system in systems]
    return "\n".join([caption, *legend, "", *markdown_table(cells)])


def _floor(row: ComparisonRow) -> str:
    if not row.held_out:
        return ""
    values = "  ".join(f"{name} {value:.4g}" for name, value in row.held_out.items())
    fewer = ", fewer than are generated" if row.held_out_images < row.conditions["images"] else ""
    return f" Held-out real images ({row.held_out_images:,}{fewer}): {values}."


def _cells(system: Seeds, several: bool) -> dict[str, str]:
    row = system.first
    return {
        "system": system.system,
        **({"seeds": str(len(system.rows))} if several else {}),
        "images seen": "-" if row.images_seen is None else f"{row.images_seen:,}",
        "steps": _steps(row),
        "NFE": " + ".join(str(network.evaluations) for network in row.networks),
        "GMACs": f"{row.gigamacs:.4g}",
        "ms": f"{system.milliseconds:.4g}",
        **{name: _shown(system.value(name)) for name in row.values},
    }


def _shown(value: float | Mean) -> str:
    return str(value) if isinstance(value, Mean) else f"{value:.4g}"


@rank_zero_only
def plot_comparison(figure: "Figure", systems: Sequence[Seeds], path: Path) -> None:
    """Plot each metric against steps and against MACs, a curve a system.

    Several seeds are their mean and its interval, over faint points of their own.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    rows = [row for system in systems for row in system.rows]
    names = list(rows[0].values)
    figure.set_size_inches(11, 3.6 * len(names))
    grid = figure.subplots(len(names), 2, sharey="row", squeeze=False)
    taken = sorted({row.mean_steps for row in rows})
    for name, (against_steps, against_cost) in zip(names, grid, strict=True):
        _plot_curves(against_steps, systems, name, [each.first.mean_steps for each in systems])
        against_steps.set_xticks(taken, [f"{number:.3g}" for number in taken])
        against_steps.set_xticks([], minor=True)
        alike = all(row.alike for row in rows)
        against_steps.set_xlabel("steps" if alike else "steps at a scale, mean")
        against_steps.set_ylabel(f"{name}, {rows[0].conditions['images']:,} images")
        _plot_curves(against_cost, systems, name, [each.first.gigamacs for each in systems])
        against_cost.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        against_cost.xaxis.set_major_formatter("{x:g}")
        against_cost.xaxis.set_minor_formatter(NullFormatter())
        against_cost.set_xlabel("GMACs an image")
    grid[0, 1].legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    save_figure(figure, path)


def _plot_curves(
    axes: "Axes", systems: Sequence[Seeds], metric: str, places: Sequence[float]
) -> None:
    """Plot a curve a system, and points apart from it where steps differ between its scales."""
    row = systems[0].first
    floor = row.held_out.get(metric)
    shown = [row.values[metric] for system in systems for row in system.rows]
    axes.set_xscale("log")
    # Some metrics reach 0 and below.
    if min(shown + ([] if floor is None else [floor])) > 0:
        axes.set_yscale("log", nonpositive="clip")
        axes.yaxis.set_major_formatter("{x:g}")
    for number, name in enumerate(dict.fromkeys(system.system for system in systems)):
        for alike, style, ending in ((True, "-o", ""), (False, "D", ", steps by scale")):
            curve = sorted(
                (
                    (place, system)
                    for place, system in zip(places, systems, strict=True)
                    if system.system == name and system.first.alike == alike
                ),
                key=lambda point: point[0],
            )
            if curve:
                color = f"C{number}"
                _plot_seeds(axes, curve, metric, color)
                _plot_means(axes, curve, metric, style, color, name + ending)
    if floor is not None:
        label = f"held-out real images ({row.held_out_images:,})"
        axes.axhline(floor, linestyle="--", color="gray", label=label)
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
    style: str,
    color: str,
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
        markerfacecolor=color if style == "-o" else "none",
        label=label,
    )
