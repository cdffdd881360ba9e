"""The report of runs: what it says, whatever kind of file it is written as."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wavelight.evaluation.results.figures import Figure, cost_and_quality, learning_curves
from wavelight.evaluation.results.inputs import read_inputs
from wavelight.evaluation.results.samples import Grid, grids_of
from wavelight.evaluation.results.sections import Section, sections_of
from wavelight.evaluation.results.strokes import Look, look_of
from wavelight.evaluation.results.tables import Table, paired_table, results_table, runs_table


class LegendEntry(NamedTuple):
    """A system in the legend of all figures of a section."""

    name: str
    look: Look


class SectionReport(NamedTuple):
    """What a report says of one data set."""

    section: Section
    results: Table
    paired: Table | None
    runs: Table
    legend: list[LegendEntry]
    curves: list[Figure]
    costs: list[Figure]
    grids: list[Grid]

    @property
    def tests(self) -> int:
        """How many paired tests there are."""
        return sum(len(body.rows) for body in self.paired.bodies) if self.paired else 0


class Report(NamedTuple):
    """What a report says."""

    sections: list[SectionReport]
    parted: list[str]
    """Sentences on sections that are not compared."""

    not_shown: list[str]
    """Sentences on all that was named and is not shown."""


def report_of(paths: Sequence[Path], pictures: bool) -> Report:
    """Read what paths name, and work out what there is to say of it.

    Args:
        paths: As :func:`wavelight.evaluation.results.inputs.read_inputs` takes them.
        pictures: Whether there are to be figures and samples.

    Raises:
        ValueError: If there is nothing to show.
    """
    records, not_shown = read_inputs(paths)
    sections, parted = sections_of(records)
    reports = [
        _report(section, f"section {number}", pictures, not_shown)
        for number, section in enumerate(sections)
    ]
    return Report(reports, parted, list(dict.fromkeys(not_shown)))


def _report(section: Section, name: str, pictures: bool, not_shown: list[str]) -> SectionReport:
    return SectionReport(
        section,
        results_table(section),
        paired_table(section),
        runs_table(section),
        [LegendEntry(system.name, look_of(i)) for i, system in enumerate(section.systems)],
        *(_figures(section, name, not_shown) if pictures else ([], [])),
        grids_of(section.systems, not_shown) if pictures else [],
    )


def _figures(
    section: Section, name: str, not_shown: list[str]
) -> tuple[list[Figure], list[Figure]]:
    """Return learning curves, and cost against quality; none without matplotlib, which is an extra."""
    try:
        return list(learning_curves(section, name)), list(cost_and_quality(section, name))
    except ImportError:
        not_shown.append("Figures need matplotlib: pip install matplotlib.")
        return [], []
