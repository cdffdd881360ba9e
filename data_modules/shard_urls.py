"""Addresses of shards, and where each leads: to this machine, elsewhere, or to a command."""

import re
from pathlib import Path

from data_modules.plain_files import printable

_PIPE = "pipe:"
_FILE = "file://"
SECRET = re.compile(r"(?<=://)[^/@]*@|\?.*$", re.DOTALL)
"""A user and a password, and what a signed address has behind it."""


def local_path(url: str) -> Path | None:
    """Return the path of a shard on this machine, or None if it lies elsewhere or comes from a command."""
    if url.startswith(_FILE):
        return Path(url.removeprefix(_FILE))
    return None if command(url) is not None or protocol(url) else Path(url)


def command(url: str) -> str | None:
    """Return the command that writes a shard, ``pipe:...``, or None if none does."""
    return url.removeprefix(_PIPE) if url.startswith(_PIPE) else None


def protocol(url: str) -> str:
    """Return how a shard that lies elsewhere is reached; empty if it does not."""
    if url.startswith((_FILE, _PIPE)):
        return ""
    return url.partition("://")[0].lower() if "://" in url else ""


def shown(url: str) -> str:
    """Write an address without the password or the signature that it may have.

    >>> shown("s3://me:pass@host/a.tar"), shown("https://host/a.tar?sig=1")
    ('s3://host/a.tar', 'https://host/a.tar')
    """
    return printable(SECRET.sub("", url) if protocol(url) else url)
