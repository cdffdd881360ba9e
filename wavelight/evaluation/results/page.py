"""A report as one HTML page, which needs no other file and no network."""

from pathlib import Path

from wavelight.evaluation.results.report import Report

_HERE = Path(__file__).parent


def page(report: Report) -> str:
    """Return the page. Names of runs are anybody's text, and escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined
    )
    style = (_HERE / "page.css").read_text()
    return templates.get_template("page.html").render(style=style, **report._asdict()) + "\n"
