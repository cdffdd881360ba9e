"""The files below a folder, each folder once, however links lead back to it."""

import logging
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data_modules.errors import DataError
from data_modules.plain_files import printable

_log = logging.getLogger(__name__)


class _Listing(NamedTuple):
    files: list[Path]
    folders: list[Path]
    links: list[Path]
    """Links to folders."""


def walk(folder: Path) -> Iterator[Path]:
    """List the files in a folder and below it, through links, without hidden folders.

    A folder that several links lead to is read once: where it lies itself, if that is below the
    folder, else by the first link.

    Raises:
        DataError: If a folder may not be read, whose files would else be missing unseen.
    """
    read: set[tuple[int, int]] = set()
    again: list[Path] = []
    folders, links = deque([folder]), deque[Path]()
    while folders or links:
        path = folders.popleft() if folders else links.popleft()
        if (place := _place(path)) in read:
            again.append(path)
            continue
        read.add(place)
        listing = _list(path)
        folders += listing.folders
        links += listing.links
        yield from listing.files
    if again:
        _log.warning(
            "links to folders that were read already are left out: %s is the first of %d",
            printable(again[0]),
            len(again),
        )


def _place(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _list(folder: Path) -> _Listing:
    listing = _Listing([], [], [])
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                _sort(entry, listing)
    except OSError as error:
        raise DataError(
            f"the folder {printable(folder)} cannot be read ({error.strerror}): allow it, or take it out"
        ) from error
    return listing


def _sort(entry: "os.DirEntry[str]", listing: _Listing) -> None:
    path = Path(entry.path)
    if not _is_folder(entry):
        listing.files.append(path)
    elif not entry.name.startswith("."):
        (listing.links if entry.is_symlink() else listing.folders).append(path)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    # A link to itself.
    except OSError:
        return False
