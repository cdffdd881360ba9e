"""Files that are there whole or not at all, whenever a process is stopped."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

_SUFFIX = ".part"


@contextmanager
def draft_of(path: Path, flushed: bool = True) -> Iterator[Path]:
    """Yield a file to write in place of another, which it replaces once it is written.

    The draft lies in the same folder, hidden, and has a name that no other process or thread has,
    so that several may write the same file at once: the last of them wins. It is removed if
    writing fails. Its suffix is its own, so that nobody who looks for ``*.png`` finds what a killed
    process left behind (``Path.glob`` finds hidden files too): a writer that goes by the suffix is to
    be told the format, or given the open file.

    Args:
        path: The other; the folders that it wants are made.
        flushed: Whether its content is brought to the disk before it replaces the other, which takes time and
            is not needed where the disk has the content already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{uuid4().hex}{_SUFFIX}")
    try:
        yield draft
        if flushed:
            _flush(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    # Some file systems would otherwise put the new name on disk before the content, and a machine
    # that loses power in between would be left with an empty file.
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes left in a folder into which nobody else is writing now."""
    for path in folder.glob(f".*{_SUFFIX}"):
        path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text in place of what the file has, all of it or nothing."""
    with draft_of(path) as draft:
        draft.write_text(text)


def read_object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file; an empty one where there is no file, a damaged one, or another value."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, content: Any) -> None:
    """Write numbers for people and programs to read, in place of what the file has."""
    write_text(path, json.dumps(content, indent=1) + "\n")
