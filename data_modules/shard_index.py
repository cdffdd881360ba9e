"""Index of a folder of shards, which ``prepare`` writes and ``Shards`` reads."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_modules.errors import DataError
from data_modules.plain_files import check_plain, printable, read_plain
from wavelight.support.files import write_json

NAME = "index.json"
FORMAT = 1

Table = NDArray[np.int64]
"""Where the images of a shard lie in its tar: rows of offset in bytes, length in bytes, label."""


@dataclass(frozen=True)
class Shard:
    """A tar file of images; its :data:`Table` lies beside it, so that the index stays small."""

    file: str
    images: int
    bytes: int
    held_out: bool

    @property
    def table(self) -> str:
        """The name of the file that holds the shard's table."""
        return table_name(self.file)


@dataclass(frozen=True)
class ShardIndex:
    """Contents of a folder of shards."""

    image_size: int
    class_names: list[str]
    shards: list[Shard]
    unreadable: int
    """How many images were left out."""
    settings: dict[str, Any]
    """The call of ``prepare`` that made it."""

    def images(self, held_out: bool) -> int:
        """Count the images of a part."""
        return sum(shard.images for shard in self.shards if shard.held_out == held_out)

    def write(self, folder: Path) -> None:
        """Write the index, all of it or nothing."""
        write_json(folder / NAME, {"format": FORMAT, **asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> "ShardIndex":
        """Read the index of a folder.

        Raises:
            DataError: If there is none, it is of another format, or a shard has not the size that
                it had.
        """
        path = folder / NAME
        content = read_json(path)
        if not isinstance(content, dict):
            raise _damaged(path, "it is no object")
        if content.pop("format", None) != FORMAT:
            raise DataError(f"{path} has another format: run prepare again into a new folder")
        index = cls._of(content, path)
        for shard in index.shards:
            _check_size(folder / shard.file, shard.bytes)
        return index

    @classmethod
    def _of(cls, content: dict[str, Any], path: Path) -> "ShardIndex":
        try:
            content["shards"] = [Shard(**shard) for shard in content["shards"]]
            index = cls(**content)
        except (TypeError, KeyError) as error:
            raise _damaged(path, str(error)) from error
        if not (_fits(index, _INDEX) and all(_fits(shard, _SHARD) for shard in index.shards)):
            raise _damaged(path, "a value is of another kind than prepare wrote")
        return index


_INDEX = {"image_size": int, "class_names": list, "unreadable": int, "settings": dict}
_MOST = 2**48
_SHARD = {"file": str, "images": int, "bytes": int, "held_out": bool}


def _fits(record: ShardIndex | Shard, kinds: dict[str, type]) -> bool:
    """Whether values are of their kinds, numbers within bounds, and a file's name leads nowhere else."""
    values = [(getattr(record, name), kind) for name, kind in kinds.items()]
    plain = Path(getattr(record, "file", NAME)).name == getattr(record, "file", NAME)
    return plain and all(
        isinstance(value, kind) and not (isinstance(value, int) and not 0 <= value < _MOST)
        for value, kind in values
    )


def table_name(shard: str) -> str:
    """Return the name of the file that holds the table of a shard.

    >>> table_name("train-000000.tar")
    'train-000000.npy'
    """
    return f"{Path(shard).stem}.npy"


def read_json(path: Path) -> Any:
    """Read a JSON file that ``prepare`` wrote.

    Raises:
        DataError: If it is missing or damaged.
    """
    if not path.exists():
        raise DataError(
            f"there is no {path}: run prepare to make shards, or let an interrupted one finish"
        )
    try:
        return json.loads(read_plain(path))
    # A few thousand brackets are enough for the second.
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, DataError) else _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{printable(path)} is damaged ({reason}): run prepare again")


def _check_size(path: Path, expected: int) -> None:
    if not path.exists():
        raise DataError(
            f"the shard {path} is missing: copy it again, or run prepare again into a new folder"
        )
    found = check_plain(path).st_size
    if found != expected:
        raise DataError(
            f"the shard {path} must have {expected:,} bytes, got {found:,}: copy it again"
        )
