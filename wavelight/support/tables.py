"""Markdown tables."""


def markdown_table(rows: list[dict[str, str]]) -> list[str]:
    """Return the lines of a table of Markdown, its columns aligned to the right.

    Args:
        rows: At least one; cells by the names of the columns, the same in every row.
    """
    columns = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    cells = [dict(zip(columns, columns, strict=True)), *rows]
    lines = [
        "| " + " | ".join(row[name].rjust(widths[name]) for name in columns) + " |" for row in cells
    ]
    rule = "|" + "|".join("-" * (widths[name] + 1) + ":" for name in columns) + "|"
    return [lines[0], rule, *lines[1:]]
