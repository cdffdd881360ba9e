"""Progress of long commands, on stderr."""

import sys


def tell(line: str) -> None:
    """Print a line of progress on stderr at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
