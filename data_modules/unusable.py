"""Images and shards that cannot be used: counted, reported once, and no more of them than allowed."""

import logging
from typing import TYPE_CHECKING

from data_modules.errors import DataError

if TYPE_CHECKING:
    from data_modules.batches import Batch, Fetched

_NEVER = 20
"""Times that each of some things has come, after which none of them can be expected to be usable."""

_log = logging.getLogger(__name__)


class UnusableImages:
    """Counts and reports what could not be used, up to a limit.

    Args:
        limit: How many images may be unusable.
        lost_limit: How many shards may be lost.
    """

    def __init__(self, limit: int, lost_limit: int = 0) -> None:
        self.limit = limit
        self.lost_limit = lost_limit
        self.found: dict[str, str] = {}
        """The reason why each image was left out, by its name."""

        self.lost: dict[str, str] = {}
        """The reason why each shard was."""

        self._left_out: dict[str, set[str]] = {"image": set(), "shard": set()}
        """What was left out since :meth:`say` was called."""

    def receive(self, fetched: "Fetched | DataError") -> "Batch":
        """Return the batch that a worker fetched.

        Raises:
            DataError: If the worker met one, or more images or shards than the limits are unusable.
        """
        if isinstance(fetched, DataError):
            raise fetched
        self._left_out["image"].update(fetched.unusable)
        self._left_out["shard"].update(fetched.lost)
        for name, reason in fetched.unusable.items():
            self._note_image(name, reason)
        for name, reason in fetched.lost.items():
            self._note_shard(name, reason)
        return fetched.batch

    def say(self) -> None:
        """Say how much was left out since the last time, if anything was."""
        counts = [
            f"{len(names)} {thing}{'s' * (len(names) > 1)}"
            for thing, names in self._left_out.items()
            if names
        ]
        if counts:
            _log.warning("left out in this epoch: %s", " and ".join(counts))
        for names in self._left_out.values():
            names.clear()

    def _note_image(self, name: str, reason: str) -> None:
        if name in self.found:
            return
        self.found[name] = reason
        check_count(len(self.found), self.limit, reason)
        _log.warning("left out image %d of at most %d: %s", len(self.found), self.limit, reason)

    def _note_shard(self, name: str, reason: str) -> None:
        if name in self.lost:
            return
        self.lost[name] = reason
        check_lost(len(self.lost), self.lost_limit, reason)
        _log.warning("left out shard %d of at most %d: %s", len(self.lost), self.lost_limit, reason)


class Useless:
    """Sees that nothing can be expected any more of things that come again and again."""

    def __init__(self, things: str) -> None:
        self._things = things
        self._names: set[str] = set()
        self._count = 0

    def note(self, name: str, reason: str) -> None:
        """Count one that was of no use.

        Raises:
            DataError: If all that came lately was, many times.
        """
        self._names.add(name)
        self._count += 1
        if self._count >= _NEVER * len(self._names) + _NEVER:
            raise DataError(
                f"none of the last {self._count} {self._things} can be used; the last one: {reason}"
            )

    def clear(self) -> None:
        """Begin anew, behind one that was."""
        self._names.clear()
        self._count = 0


def check_count(unusable: int, limit: int, reason: str) -> None:
    """Raise if more images are unusable than allowed, with the reason for the last of them."""
    if unusable <= limit:
        return
    if limit == 0:
        raise DataError(f"{reason} (set max_unreadable to leave out up to that many such images)")
    raise DataError(
        f"more than max_unreadable = {limit} images cannot be used; the last one: {reason}"
    )


def check_lost(lost: int, limit: int, reason: str) -> None:
    """Raise if more shards are lost than allowed."""
    if lost > limit == 0:
        raise DataError(f"{reason} (set max_lost_shards to leave out up to that many)")
    if lost > limit:
        raise DataError(
            f"more than max_lost_shards = {limit} shards are lost; the last one: {reason}"
        )
