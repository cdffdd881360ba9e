"""A report as CSV: a line a system, a run and a published row, with all digits, for spreadsheets and programs."""

import csv
import io
from collections.abc import Iterator
from math import isinf
from typing import Any

from wavelight.evaluation.results.records import Column, Record
from wavelight.evaluation.results.report import Report
from wavelight.evaluation.results.sections import FID, RECALL, Section
from wavelight.evaluation.results.systems import System


def lines(report: Report) -> str:
    """Return the lines of all data sets, each of which names its data set and what it is."""
    rows = [row for section in report.sections for row in _rows(section.section)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _rows(section: Section) -> Iterator[dict[str, Any]]:
    data = {"data": section.data.name, "resolution": section.data.resolution}
    for system in section.systems:
        yield {"kind": "mean over seeds", **data, **_mean(system, section.columns)}
    for system in section.systems:
        for record in system.records:
            yield {"kind": "run", **data, **_run(system, record, section.columns)}
    for table in section.published:
        for row in table.rows:
            yield {
                "kind": "published",
                **data,
                "system": row.system,
                _name(FID): row.fid,
                _name(RECALL): row.recall,
                "nfe": row.nfe,
                "parameters": row.parameters,
                "seconds": row.seconds,
                "source": f"{table.source}: {table.title}",
                "note": row.note,
            }


def _mean(system: System, columns: list[Column]) -> dict[str, Any]:
    values: dict[str, Any] = {"system": system.name, "seeds": len(system.records)}
    for column in columns:
        mean = system.mean(column)
        if mean is not None:
            values[_name(column)] = mean.value
            if not isinf(mean.half_width):
                values[f"{_name(column)}, half width of the 95 % interval"] = mean.half_width
    return values | system.first.cost._asdict() | {"device_hours": system.device_hours}


def _run(system: System, record: Record, columns: list[Column]) -> dict[str, Any]:
    scores = {column: record.scores[column] for column in columns if column in record.scores}
    seen = {score.images_seen for score in scores.values()}
    return {
        "system": system.name,
        "run": record.name,
        "folder": str(record.folder),
        "class": record.system,
        "seed": record.seed,
        **{_name(column): score.value for column, score in scores.items()},
        # Of several, each column has its own.
        "images_seen": seen.pop() if len(seen) == 1 else None,
        **record.cost._asdict(),
        **record.training._asdict(),
    }


def _name(column: Column) -> str:
    return f"{column.metric} ({column.conditions})"
