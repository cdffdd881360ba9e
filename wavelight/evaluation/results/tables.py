"""Tables of a report, as cells of text for any kind of page."""

from collections.abc import Iterator, Sequence
from math import isinf
from typing import NamedTuple

from wavelight.evaluation.results.paired import PairedTest, paired_tests
from wavelight.evaluation.results.published import PublishedRow, PublishedTable
from wavelight.evaluation.results.records import Column, Record
from wavelight.evaluation.results.sections import FID, RECALL, Section
from wavelight.evaluation.results.systems import System

MEASURED = "measured"
PUBLISHED = "published"
REAL = "real"


class Heading(NamedTuple):
    """What stands above a column."""

    title: str
    conditions: str = ""
    """In smaller letters below it."""


class Row(NamedTuple):
    """A row of cells."""

    kind: str
    """One of :data:`MEASURED`, :data:`PUBLISHED` and :data:`REAL`; empty where all rows are of one kind."""

    cells: list[str]


class Body(NamedTuple):
    """Rows that share a caption."""

    caption: str
    rows: list[Row]


class Table(NamedTuple):
    """A table, the first column of which names the rows."""

    headings: list[Heading]
    bodies: list[Body]


def results_table(section: Section) -> Table:
    """Return the means of the measured systems, and the papers' rows beside them."""
    columns = section.columns
    headings = [
        Heading("system"),
        Heading("seeds"),
        *(Heading(column.title, column.conditions) for column in columns),
        Heading("images seen"),
        Heading("NFE"),
        Heading("GMACs"),
        Heading("parameters"),
        Heading("time, s"),
        Heading("device hours", "of all seeds"),
        Heading("note"),
    ]
    measured = [_system_row(system, columns) for system in section.systems]
    real = list(_real_rows(section, columns))
    bodies = [
        Body("measured here, mean ± half the width of the 95 % interval over seeds", measured)
    ]
    bodies[0].rows.extend(real)
    bodies += [_published_body(table, columns) for table in section.published]
    return _without_blanks(Table(headings, bodies))


def _system_row(system: System, columns: Sequence[Column]) -> Row:
    having = [column for column in columns if system.scores(column)]
    cost = system.first.cost
    return Row(
        MEASURED,
        [
            system.name,
            str(len(system.records)),
            *(_mean(system, column) for column in columns),
            _range(system.images_seen(having)),
            number(cost.nfe),
            number(cost.gmacs),
            _millions(cost.parameters),
            "",
            number(system.device_hours),
            "",
        ],
    )


def _mean(system: System, column: Column) -> str:
    mean = system.mean(column)
    if mean is None:
        return ""
    known = len(system.scores(column))
    few = f" ({known} of {len(system.records)})" if known < len(system.records) else ""
    return (number(mean.value) if isinf(mean.half_width) else str(mean)) + few


def _real_rows(section: Section, columns: Sequence[Column]) -> Iterator[Row]:
    """Yield the values of held-out real images, which the data decide and no system."""
    records = [record for system in section.systems for record in system.records]
    floors = {column: value for record in records for column, value in record.held_out.items()}
    if not floors.keys().isdisjoint(columns):
        cells = [number(floors.get(column)) for column in columns]
        yield Row(REAL, ["held-out real images", "", *cells, *[""] * 7])


def _published_body(table: PublishedTable, columns: Sequence[Column]) -> Body:
    timed = f"; time: {table.timed}" if any(row.seconds for row in table.rows) else ""
    caption = f"published, {table.title}: {table.source}{timed}"
    return Body(caption, [_published_row(row, columns) for row in table.rows])


def _published_row(row: PublishedRow, columns: Sequence[Column]) -> Row:
    values = {FID: row.fid, RECALL: row.recall}
    return Row(
        PUBLISHED,
        [
            row.system,
            "",
            *(number(values.get(column)) for column in columns),
            "",
            number(row.nfe),
            "",
            _millions(row.parameters),
            number(row.seconds),
            "",
            row.note,
        ],
    )


def runs_table(section: Section) -> Table:
    """Return every run: its values, and how it came about."""
    columns = section.columns
    headings = [
        Heading("run"),
        Heading("seed"),
        *(Heading(column.title, column.conditions) for column in columns),
        Heading("images seen"),
        Heading("device hours"),
        Heading("device"),
        Heading("commit"),
        Heading("command"),
    ]
    rows = [_run_row(record, columns) for each in section.systems for record in each.records]
    return _without_blanks(Table(headings, [Body("", rows)]))


def _run_row(record: Record, columns: Sequence[Column]) -> Row:
    scores = [record.scores[column] for column in columns if column in record.scores]
    seen = [score.images_seen for score in scores if score.images_seen is not None]
    training = record.training
    return Row(
        "",
        [
            record.name,
            "" if record.seed is None else str(record.seed),
            *(
                number(record.scores[column].value) if column in record.scores else ""
                for column in columns
            ),
            _range((min(seen), max(seen)) if seen else None),
            number(training.device_hours),
            training.device,
            training.revision[:12],
            training.command,
        ],
    )


def paired_table(section: Section) -> Table | None:
    """Return the paired tests of every two systems, or None where there is one system alone."""
    measured = [
        column for column in section.columns if any(each.scores(column) for each in section.systems)
    ]
    tests = list(paired_tests(section.systems, measured))
    if not tests:
        return None
    titles = ["systems", "metric", "pairs", "mean difference", "95 % interval", "p"]
    return Table(
        [Heading(title) for title in titles], [Body("", [_test_row(test) for test in tests])]
    )


def _test_row(test: PairedTest) -> Row:
    systems, metric = (
        f"{test.one} minus {test.other}",
        f"{test.column.title} ({test.column.conditions})",
    )
    if test.difference is None:
        claim = "one pair says nothing" if test.pairs else "no seed in common"
        return Row("", [systems, metric, str(test.pairs), claim, "", ""])
    interval = "none: all differences are equal"
    if test.interval is not None:
        interval = f"{number(test.interval[0])} to {number(test.interval[1])}"
    return Row(
        "",
        [
            systems,
            metric,
            str(test.pairs),
            number(test.difference),
            interval,
            number(test.p_value, 2),
        ],
    )


def number(value: float | None, digits: int = 4) -> str:
    """Return a number as it stands in a cell; an empty cell where there is none."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 10**digits else f"{value:.{digits}g}"


def _millions(value: float | None) -> str:
    return "" if value is None else f"{value / 1e6:.3g} M"


def _range(ends: tuple[int, int] | None) -> str:
    if ends is None:
        return ""
    low, high = ends
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _without_blanks(table: Table) -> Table:
    """Leave out columns in which no cell says anything."""
    rows = [row for body in table.bodies for row in body.rows]
    kept = [i for i in range(len(table.headings)) if any(row.cells[i] for row in rows)]
    return Table(
        [table.headings[i] for i in kept],
        [
            body._replace(
                rows=[row._replace(cells=[row.cells[i] for i in kept]) for row in body.rows]
            )
            for body in table.bodies
        ],
    )
