"""Progress of long commands, on stderr."""

import sys
from collections.abc import Iterable
from typing import Any

from wavelight.support.collectives import rank


def tell(line: str) -> None:
    """Print a line of progress on stderr at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def with_progress(items: Iterable[Any], description: str) -> Iterable[Any]:
    """Show a progress bar on the terminal of the first process while items come."""
    from rich.console import Console
    from rich.progress import track

    # A console of its own, because a trainer's bar may be on rich's, which shows one at a time.
    console = Console(stderr=True)
    hidden = rank() != 0 or not console.is_terminal
    return track(items, description, console=console, transient=True, disable=hidden)
