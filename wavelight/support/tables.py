"""Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence

from tabulate import tabulate


def markdown_table(
    rows: Iterable[Mapping[str, str]], left: Sequence[str] | None = None
) -> list[str]:
    """Return the lines of a table of Markdown.

    Args:
        rows: At least one; cells by the names of the columns, the same in every row.
        left: The columns that are aligned to the left; none takes no column.
    """
    rows = list(rows)
    align = ["left" if name in (left or ()) else "right" for name in rows[0]]
    table = tabulate(
        [list(row.values()) for row in rows],
        headers=list(rows[0]),
        tablefmt="pipe",
        colalign=align,
        disable_numparse=True,
    )
    return table.splitlines()
