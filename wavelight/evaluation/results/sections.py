"""Sections of a report: one for each data set, because numbers on different images are not compared."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from wavelight.config.differences import first_difference
from wavelight.evaluation.results.published import PublishedTable, published_tables
from wavelight.evaluation.results.records import PAPERS, Column, DataSet, Record
from wavelight.evaluation.results.systems import System, metric_options, systems_of

FID = Column("fid", PAPERS, "test")
RECALL = Column("recall", PAPERS, "test")
"""The columns of published numbers."""

_STAGES = ("test", "val", "compare", "measure")
_MOST_TELLING = ("fid", "recall", "precision", "fwd")


class Section(NamedTuple):
    """All that was measured on one data set, and what papers print of it."""

    data: DataSet
    systems: list[System]
    published: list[PublishedTable]
    notes: list[str]

    @property
    def columns(self) -> list[Column]:
        """The columns that have a value, the most telling first."""
        records = [record for each in self.systems for record in each.records]
        found = {column for record in records for column in record.scores}
        found -= set(_validations_of_tested(records, found))
        rows = [row for table in self.published for row in table.rows]
        if any(row.fid is not None for row in rows):
            found.add(FID)
        if any(row.recall is not None for row in rows):
            found.add(RECALL)
        return by_rank(found)

    @property
    def main(self) -> Column:
        """The measured column that is plotted: a test of two systems or more, or else what most systems have."""
        measured = [
            column
            for column in self.columns
            if any(column in record.scores for each in self.systems for record in each.records)
        ]
        telling = [column for column in measured if column.metric == measured[0].metric]
        having = {
            column: sum(bool(each.scores(column)) for each in self.systems) for column in telling
        }
        tests = [column for column in telling if column.stage == "test" and having[column] > 1]
        return max(tests or telling, key=having.__getitem__)


def _validations_of_tested(
    records: Sequence[Record], columns: Iterable[Column]
) -> Iterator[Column]:
    """Yield the columns of validations of metrics that every run has tested, too."""
    tested = [{each.metric for each in record.scores if each.stage == "test"} for record in records]
    for column in columns:
        having = [
            metrics
            for record, metrics in zip(records, tested, strict=True)
            if column in record.scores
        ]
        if column.stage == "val" and all(column.metric in metrics for metrics in having):
            yield column


def by_rank(columns: Iterable[Column]) -> list[Column]:
    """Return columns with the most telling one first."""
    return sorted(columns, key=_rank)


def sections_of(records: Sequence[Record]) -> tuple[list[Section], list[str]]:
    """Sort records by the data that they were trained on.

    Returns:
        The sections in the order in which they come, and a sentence on each that is not compared with the first.
    """
    groups: list[list[Record]] = []
    for record in records:
        home = next((group for group in groups if _on_same(group[0], record)), None)
        if home is None:
            groups.append([record])
        else:
            home.append(record)
    sections = [_section(group) for group in groups]
    return sections, list(_parted(sections))


def _on_same(one: Record, other: Record) -> bool:
    if one.data.options and other.data.options:
        return first_difference(one.data.options, other.data.options, "data") is None
    # A folder of images says by name alone what it was compared with.
    first, second = (re.sub(r"[\W_]", "", data.name.lower()) for data in (one.data, other.data))
    return first in second or second in first


def _section(records: list[Record]) -> Section:
    named = [record.data for record in records if record.data.options]
    data = (named or [records[0].data])[0]
    systems, notes = systems_of(records)
    tables = [
        table
        for table in published_tables()
        if data.resolution is not None and table.is_of(data.name, data.resolution)
    ]
    tables = tables or list(_told_by_experiments(systems))
    notes = [*notes, *metric_options(records), *_trained_unequally(systems)]
    return Section(data, systems, tables, notes)


def _trained_unequally(systems: Sequence[System]) -> Iterator[str]:
    """Yield a sentence for every system whose seeds were tested after different lengths of training."""
    for system in systems:
        lengths = {
            score.images_seen
            for record in system.records
            for column, score in record.scores.items()
            if column.stage == "test" and score.images_seen is not None
        }
        if len(lengths) > 1:
            yield (
                f"Seeds of {system.name} were tested after {min(lengths):,} to {max(lengths):,} images, so that their "
                "mean is of systems that were not trained equally."
            )


def _told_by_experiments(systems: Sequence[System]) -> Iterator[PublishedTable]:
    """Yield a table of what the runs' configurations say of papers, for data sets of which no table is kept."""
    rows = [row for each in systems if (row := each.first.published) is not None]
    if rows:
        yield PublishedTable(
            "as the experiments say", (), 0, "the runs' configurations", "", tuple(rows)
        )


def _parted(sections: Sequence[Section]) -> Iterator[str]:
    first = sections[0]
    for other in sections[1:]:
        difference: object = f"one is {first.data.name}, the other {other.data.name}"
        if first.data.options and other.data.options:
            difference = first_difference(first.data.options, other.data.options, "data")
        yield (
            f"Runs on {first.data.title} ({first.systems[0].name}) and on {other.data.title} ({other.systems[0].name}) "
            f"are in different sections and not compared, because their data differ: {difference}."
        )


def _rank(column: Column) -> tuple[int, str, int, int, str]:
    metrics = [*_MOST_TELLING, column.metric]
    stages = [*_STAGES, column.stage]
    return (
        metrics.index(column.metric),
        column.metric,
        stages.index(column.stage),
        -(column.images or 0),
        column.against,
    )
