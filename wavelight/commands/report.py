"""``wavelight report``: the results of runs as one page, without W&B."""

from pathlib import Path

from wavelight.evaluation.results.lines import lines
from wavelight.evaluation.results.markdown import markdown
from wavelight.evaluation.results.page import page
from wavelight.evaluation.results.report import report_of
from wavelight.support.files import write_text
from wavelight.support.progress import tell

_KINDS = {".html": page, ".md": markdown, ".csv": lines}
"""How a report is written, by the ending of its file."""


def report(runs: list[Path], out: Path) -> str:
    """Write the results of runs as one page: tables beside the papers', paired tests, curves, samples, cost.

    Seeds of one system are a row, with their mean and its 95 % interval; runs on other data have a section of
    their own. Runs may still train. Nothing is unpickled and nothing is measured: `wavelight test` and
    `wavelight compare` do that.

    Args:
        runs: Folders of runs, or a folder that holds such; checkpoints in them, which stand for their run; JSON
            files of `wavelight compare` and `wavelight measure`. One or several, or a glob, such as runs/*/seed-*.
        out: The file: .html for a page that needs no other file and no network, .md or .csv for its tables alone.

    Raises:
        ValueError: If the file is of another kind, or nothing that is named can be shown.
    """
    kind = out.suffix.lower()
    if kind not in _KINDS:
        raise ValueError(f"out must end with {', '.join(_KINDS)}, got {out}")
    found = report_of(runs, pictures=kind == ".html")
    for note in [*found.parted, *found.not_shown]:
        tell(note)
    write_text(out, _KINDS[kind](found))
    return str(out)
