"""Files that are there whole or not at all, whenever a process is stopped."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Yield a file to write in place of another, which it replaces once it is written.

    Args:
        path: The other; the folders that it wants are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.part")
    yield draft
    draft.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write numbers for people and programs to read, in place of what the file has."""
    with draft_of(path) as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n")
