"""Rows of one system with several seeds, together."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from wavelight.config.seeds import Mean, mean_over_seeds
from wavelight.evaluation.comparison.rows import ComparisonRow


class Seeds(NamedTuple):
    """One system at one setting of its steps: a row for each seed that it was trained with."""

    system: str
    rows: list[ComparisonRow]

    @property
    def first(self) -> ComparisonRow:
        """The row of the first seed, for all that is the same in all rows."""
        return self.rows[0]

    @property
    def images_seen(self) -> str:
        """The images seen in training: a number, or the least and the most of seeds whose best checkpoints differ."""
        seen = sorted({row.images_seen for row in self.rows if row.images_seen is not None})
        if not seen:
            return "-"
        return f"{seen[0]:,}" if len(seen) == 1 else f"{seen[0]:,} to {seen[-1]:,}"

    @property
    def milliseconds(self) -> float:
        """Mean seconds to sample an image."""
        return fmean(row.milliseconds for row in self.rows)

    def value(self, metric: str) -> float | Mean:
        """Return a metric's value, with its interval where there are several seeds."""
        values = [row.values[metric] for row in self.rows]
        return values[0] if len(values) == 1 else mean_over_seeds(values)


def seeds_of_systems(rows: Sequence[ComparisonRow]) -> list[Seeds]:
    """Put rows of one system and the same steps together, in the order in which they come.

    Args:
        rows: Rows of all systems.

    Raises:
        ValueError: If rows that belong together do not cost the same.
    """
    found: dict[tuple[str, tuple[int, ...]], list[ComparisonRow]] = {}
    for row in rows:
        found.setdefault((row.system, tuple(row.steps)), []).append(row)
    for (system, _), alike in found.items():
        for row in alike:
            if row.networks != alike[0].networks:
                raise ValueError(
                    f"{alike[0].run} and {row.run} are seeds of {system}, but cost "
                    f"{alike[0].gigamacs:.4g} and {row.gigamacs:.4g} billion MACs an image: measure "
                    "both with the same code"
                )
    return [Seeds(system, alike) for (system, _), alike in found.items()]


def summaries(systems: Sequence[Seeds]) -> list[dict[str, Any]]:
    """Return the mean of every metric over the seeds of each system, and its interval, for a file.

    The interval of one seed is not known: None.
    """
    return [
        {
            "system": system.system,
            "steps": system.first.steps,
            "training_seeds": [row.training_seed for row in system.rows],
            "images_seen": [row.images_seen for row in system.rows],
            "nfe": system.first.evaluations,
            "gmacs": system.first.gigamacs,
            "milliseconds": system.milliseconds,
            "values": {name: _summary(system.value(name)) for name in system.first.values},
        }
        for system in systems
    ]


def _summary(value: float | Mean) -> dict[str, Any]:
    if not isinstance(value, Mean):
        return {"mean": value, "half_width": None, "interval": None}
    interval = [value.value - value.half_width, value.value + value.half_width]
    return {"mean": value.value, "half_width": value.half_width, "interval": interval}
