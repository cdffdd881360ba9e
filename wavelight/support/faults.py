"""Faults of a machine beside a training: a full disk, a server that is down. It goes on without what they took."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_OF_NETWORKS = ("wandb", "requests", "urllib3", "http", "ssl")
"""Packages whose own exceptions tell of servers and connections, not of the code that called them."""


def is_of_the_machine(error: BaseException) -> bool:
    """Return whether an exception tells of the machine or of a server: a full disk, a lost connection, W&B's own.

    Others are faults of code, whose traceback is to be seen.
    """
    made_by = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or not made_by.isdisjoint(_OF_NETWORKS)


class GoingOn:
    """Lets faults of the machine pass, and warns of the first.

    Args:
        what: Names what cannot be done, for the warning.
        kept: Says what becomes of it.
    """

    def __init__(self, what: str, kept: str) -> None:
        self.what = what
        self.kept = kept
        self._warned = False

    @contextmanager
    def despite_faults(self) -> Iterator[None]:
        """Catch faults of the machine inside this context; faults of code are raised."""
        try:
            yield
        except Exception as error:
            if not is_of_the_machine(error):
                raise
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if self._warned:
            return
        self._warned = True
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        warnings.warn(
            f"{self.what} failed, and all else goes on ({said}); {self.kept}, and this is not said again",
            stacklevel=2,
        )
