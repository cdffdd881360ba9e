"""Report of a comparison: lines as rows come, and a table."""

import sys
from collections.abc import Sequence

from lightning.pytorch.utilities import rank_zero_only

from wavelight.config.seeds import Mean
from wavelight.evaluation.comparison.rows import ComparisonRow
from wavelight.evaluation.comparison.seeds import Seeds
from wavelight.support.tables import markdown_table

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


@rank_zero_only
def tell_row(row: ComparisonRow, note: str = "") -> None:
    """Write a row to stderr, in one line.

    Args:
        row: The row to show.
        note: A remark to add in brackets.
    """
    values = "  ".join(f"{name} {value:.4g}" for name, value in row.values.items())
    line = f"{row.run}, steps {_steps(row)}: {values}  {row.milliseconds:.4g} ms an image"
    sys.stderr.write(line + (f" ({note})\n" if note else "\n"))
    sys.stderr.flush()


def _steps(row: ComparisonRow) -> str:
    taken = row.taken[:1] if row.alike else row.taken
    return " + ".join(map(str, taken))


@rank_zero_only
def report_comparison(systems: Sequence[Seeds], notes: Sequence[str] = ()) -> str:
    """Return the conditions and the table, as Markdown.

    Args:
        systems: All systems, at each setting of their steps.
        notes: Sentences on runs that were not joined.
    """
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
    return "\n".join([caption, *legend, *notes, "", *markdown_table(cells)])


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
        "images seen": system.images_seen,
        "steps": _steps(row),
        "NFE": " + ".join(str(network.evaluations) for network in row.networks),
        "GMACs": f"{row.gigamacs:.4g}",
        "ms": f"{system.milliseconds:.4g}",
        **{name: _shown(system.value(name)) for name in row.values},
    }


def _shown(value: float | Mean) -> str:
    return str(value) if isinstance(value, Mean) else f"{value:.4g}"
