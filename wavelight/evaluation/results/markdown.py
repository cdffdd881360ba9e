"""A report as Markdown: its tables and sentences."""

from collections.abc import Iterator

from wavelight.evaluation.results.report import Report, SectionReport
from wavelight.evaluation.results.tables import Heading, Table
from wavelight.support.tables import markdown_table

_WITH_MEANING = "\\`*_{}[]<>#|~$"


def markdown(report: Report) -> str:
    """Return the report without figures. Names of runs are anybody's text, and escaped."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield "# Results"
    yield from _sentences("Not compared", report.parted)
    yield from _sentences("Not shown", report.not_shown)
    for section in report.sections:
        yield from _section(section)


def _section(section: SectionReport) -> Iterator[str]:
    yield f"\n## {_escaped(section.section.data.title)}"
    yield from _sentences("To be read with care", section.section.notes)
    yield from _table(section.results)
    if section.paired:
        yield "\n### Paired tests\n"
        yield "Student's t-test on the differences at equal training seeds; p is two-sided and not corrected."
        yield from _table(section.paired)
    yield "\n### Runs"
    yield from _table(section.runs)


def _sentences(title: str, notes: list[str]) -> Iterator[str]:
    if notes:
        yield f"\n**{title}**\n"
        yield from (f"- {_escaped(note)}" for note in notes)


def _table(table: Table) -> Iterator[str]:
    """Yield the bodies of a table below each other, each with its caption."""
    names = [_heading(heading) for heading in table.headings]
    for body in table.bodies:
        yield f"\n{_escaped(body.caption)}\n" if body.caption else ""
        cells = [dict(zip(names, map(_escaped, row.cells), strict=True)) for row in body.rows]
        yield from markdown_table(cells, left=names[:1])


def _heading(heading: Heading) -> str:
    text = f"{heading.title} ({heading.conditions})" if heading.conditions else heading.title
    return _escaped(text)


def _escaped(text: str) -> str:
    line = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in _WITH_MEANING else sign for sign in line)
