"""Data for wavelight: one data module, and the sources that it can read."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_modules.databases import LSUN as LSUN
    from data_modules.databases import Lmdb as Lmdb
    from data_modules.datamodule import WaveletDataModule as WaveletDataModule
    from data_modules.errors import DataError as DataError
    from data_modules.files import ImageFolder as ImageFolder
    from data_modules.files import ImageZip as ImageZip
    from data_modules.gaussian_fields import GaussianFields as GaussianFields
    from data_modules.phi4 import Phi4 as Phi4
    from data_modules.published import CIFAR10 as CIFAR10
    from data_modules.published import STL10 as STL10
    from data_modules.scenes import Scenes as Scenes
    from data_modules.shard_stream import ShardStream as ShardStream
    from data_modules.shards import Shards as Shards
    from data_modules.source import Sample as Sample
    from data_modules.source import Source as Source

# Imported when asked for: a worker process that reads images needs no Lightning, which takes
# seconds and a gigabyte.
_HOMES = {
    "CIFAR10": "published",
    "DataError": "errors",
    "GaussianFields": "gaussian_fields",
    "ImageFolder": "files",
    "ImageZip": "files",
    "LSUN": "databases",
    "Lmdb": "databases",
    "Phi4": "phi4",
    "STL10": "published",
    "Sample": "source",
    "Scenes": "scenes",
    "ShardStream": "shard_stream",
    "Shards": "shards",
    "Source": "source",
    "WaveletDataModule": "datamodule",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def import_all() -> None:
    """Import every class, so that options of a command line can name it without its module."""
    for name in __all__:
        __getattr__(name)
