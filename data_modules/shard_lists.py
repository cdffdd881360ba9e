"""Lists of shards that one address stands for, by ranges in braces and by stars."""

import os
import re
from glob import escape, glob
from math import prod
from pathlib import Path

from data_modules.errors import DataError
from data_modules.remote_files import check_protocol, find
from data_modules.shard_urls import SECRET, command, local_path, protocol, shown

_MOST_SHARDS = 1_000_000
_PATIENCE = 30.0
"""How long a server may take to list what it has, in seconds."""

_NUMBERS = re.compile(r"\{(-?\d+)\.\.(-?\d+)(?:\.\.-?\d+)?\}")


def expand(address: str) -> list[str]:
    """List the shards that an address stands for: ranges in braces, and then ``*``.

    Raises:
        DataError: If it stands for no shard, for far too many, or for a place that cannot be read.
    """
    path = local_path(address)
    if path is not None and os.path.exists(path):
        return [address]
    shards = [shard for url in _expand_braces(address) for shard in _expand_stars(url)]
    for name in {protocol(shard) for shard in shards} - {""}:
        check_protocol(name)
    return shards


def _expand_braces(address: str) -> list[str]:
    """Expand braces, ``::`` between addresses, and variables as webdataset has them."""
    from webdataset.shardlists import expand_urls

    # Counted first, since the expansion of a slip of the finger takes all memory.
    ranges = (
        abs(int(stop[:18]) - int(start[:18])) + 1 for start, stop in _NUMBERS.findall(address)
    )
    try:
        urls = expand_urls(address) if prod(ranges) <= _MOST_SHARDS else None
    except ValueError as error:
        raise DataError(f"urls has an address that cannot be expanded: {error}") from error
    if urls is None:
        raise DataError(
            f"urls must stand for at most {_MOST_SHARDS:,} shards, got more from {shown(address)}"
        )
    return urls


def _expand_stars(url: str) -> list[str]:
    if "*" not in SECRET.sub("", url) or command(url) is not None:
        return [url]
    path = local_path(url)
    found = _glob_elsewhere(url) if path is None else _glob(path)
    if not found:
        raise DataError(f"urls must name shards, got {shown(url)}, which nothing fits")
    return found


def _glob(path: Path) -> list[str]:
    # Brackets are far more often part of a folder's name than a choice of letters.
    return sorted(glob(escape(str(path)).replace("[*]", "*")))


def _glob_elsewhere(url: str) -> list[str]:
    return sorted(find(url, _PATIENCE))
