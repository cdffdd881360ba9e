"""Grids of samples beside each other: the newest picture of a run of each system, as part of a page."""

import base64
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from wavelight.evaluation.results.records import Record
from wavelight.evaluation.results.systems import System

FOLDER = "samples"
_WIDEST = 640
"""Pixels; a wider grid is shrunk to that."""


class Grid(NamedTuple):
    """A picture of a run."""

    system: str
    run: str
    address: str
    """The picture itself, as an address that needs no file."""

    images_seen: str
    """As the file's name has it; empty where it has none."""


def grids_of(systems: Sequence[System], notes: list[str]) -> list[Grid]:
    """Return a grid for each system that has one, all of the same training seed as far as there is one that they share.

    Args:
        systems: Systems on one data set.
        notes: Takes a sentence on pictures that cannot be read.
    """
    seeds = Counter(record.seed for system in systems for record in system.records)
    found = []
    for system in systems:
        # Of equal counts the first comes first.
        records = sorted(system.records, key=lambda record: -seeds[record.seed])
        found += list(_first_grid(system, records, notes))
    return found


def _first_grid(system: System, records: Sequence[Record], notes: list[str]) -> Iterator[Grid]:
    for record in records:
        pictures = sorted((record.folder / FOLDER).glob("images_*.png"))
        if not pictures:
            continue
        try:
            address = _address(pictures[-1])
        except (OSError, ValueError, SyntaxError) as error:
            notes.append(f"{pictures[-1]} cannot be shown: {' '.join(str(error).split())}.")
            continue
        seen = pictures[-1].stem.rpartition("_")[2]
        yield Grid(system.name, record.name, address, f"{int(seen):,}" if seen.isdigit() else "")
        return


def _address(path: Path) -> str:
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            shown = image.convert("L" if image.mode == "L" else "RGB")
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    if shown.width > _WIDEST:
        shown = shown.resize(
            (_WIDEST, max(1, shown.height * _WIDEST // shown.width)), Image.Resampling.LANCZOS
        )
    content = io.BytesIO()
    shown.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
