"""Bad input that one process of several finds, said once."""

from collections.abc import Iterator
from contextlib import contextmanager

from wavelight.support.collectives import gathered, rank
from wavelight.support.errors import SaidElsewhereError


@contextmanager
def refused_together() -> Iterator[None]:
    """End all processes by the bad input that some of them find in the block; collective.

    The first of these raises its error, all others one of which nothing is printed: by themselves they would wait for
    it until its end breaks their connection, and print that. Faults of code pass at once.

    Raises:
        ValueError: If this process found it first.
        OSError: The same.
        SaidElsewhereError: If another process found it first.
    """
    error: ValueError | OSError | None = None
    try:
        yield
    except (ValueError, OSError) as found:
        error = found
    refusing = [number for number, refused in enumerate(gathered(error is not None)) if refused]
    if not refusing:
        return
    if error is not None and rank() == refusing[0]:
        raise error
    raise SaidElsewhereError(f"rank {refusing[0]} refuses its input")
