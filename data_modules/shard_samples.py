"""Samples of a shard: the files in it that have a name in common, an image and its class."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from data_modules.errors import DataError
from data_modules.pictures import SUFFIXES
from data_modules.plain_files import MOST_BYTES, printable
from data_modules.shard_urls import shown

_LABEL = "cls"
_LABEL_BYTES = 1000


class ShardFile(NamedTuple):
    """A file in a shard."""

    url: str
    name: str
    data: bytes | None
    """None where :meth:`Naming.wanted` asks for none."""


class ShardEnd(NamedTuple):
    """The end of a shard, behind its last file."""

    url: str


class StreamSample(NamedTuple):
    """An image of a shard, encoded, and what is said of its class."""

    url: str
    key: str
    image: bytes | None
    label: bytes | None

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"{printable(self.key)} in {shown(self.url)}"


class Naming(NamedTuple):
    """How names of files are made of a sample's key and an ending.

    A key ends at the first dot behind the last slash, as webdataset has it; or, if ``image`` names
    the ending of images, before that.
    """

    image: str | None = None

    def split(self, name: str) -> tuple[str, str] | None:
        """Return key and ending of a file, or None if it belongs to no sample.

        >>> Naming().split("a.b/c.left.png"), Naming("png").split("a.b/c.left.png")
        (('a.b/c', 'left.png'), ('a.b/c.left', 'png'))
        """
        for ending in (self.image, _LABEL) if self.image else ():
            if name.lower().endswith(f".{ending}".lower()):
                return name[: -len(ending) - 1], ending
        folder, slash, file = name.rpartition("/")
        key, dot, ending = file.partition(".")
        if self.image or not key or not dot:
            return None
        return f"{folder}{slash}{key}", ending.lower()

    def holds_image(self, ending: str) -> bool:
        """Whether files with this ending are images."""
        if self.image:
            return ending == self.image
        return PurePosixPath(f"x.{ending}").suffix in SUFFIXES

    def wanted(self, name: str) -> int:
        """Return how many bytes of a file may be needed."""
        found = self.split(name)
        if found is None:
            return 0
        return MOST_BYTES if self.holds_image(found[1]) else _LABEL_BYTES * (found[1] == _LABEL)


def grouped(files: Iterable[ShardFile | ShardEnd], naming: Naming) -> Iterator[StreamSample]:
    """Join the files of each sample, which lie one behind the other.

    Raises:
        DataError: If a sample has several images.
    """
    sample: StreamSample | None = None
    ending = ""
    for file in files:
        found = naming.split(file.name) if isinstance(file, ShardFile) else ("", "")
        if found is None:
            continue
        if sample is not None and sample.key != found[0]:
            yield sample
            sample = None
        if isinstance(file, ShardEnd):
            continue
        sample = sample or StreamSample(file.url, found[0], None, None)
        if found[1] == _LABEL:
            sample = sample._replace(label=file.data)
        elif naming.holds_image(found[1]):
            if sample.image is not None:
                raise _several(sample, ending, found[1])
            sample, ending = sample._replace(image=file.data), found[1]
    if sample is not None:
        yield sample


def _several(sample: StreamSample, one: str, other: str) -> DataError:
    return DataError(
        f"{sample.name} has several images ({printable(one)}, {printable(other)} ...): set image to the ending of the "
        f"one to train on, such as {printable(one)}, or to {one.rpartition('.')[2]} if each is a sample of its own"
    )


def label_of(sample: StreamSample, class_names: list[str] | None) -> int:
    """Return the class of a sample, -1 where it has none.

    Args:
        sample: The sample.
        class_names: The names of the classes, of which labels may hold one, or its number; None if
            labels are numbers, none if there are no classes.

    Raises:
        DataError: If its label is neither.
    """
    text = (
        (b"-1" if sample.label is None else sample.label).decode(errors="backslashreplace").strip()
    )
    if text == "-1" or class_names == []:
        return -1
    if class_names and text in class_names:
        return class_names.index(text)
    most = len(class_names) if class_names else 2**31
    if text.isdecimal() and text.isascii() and len(text) < 12 and int(text) < most:
        return int(text)
    raise DataError(
        f"the class (.{_LABEL}) of {sample.name} must be {_expected(class_names)}, got {printable(text[:40])!r}: "
        "set class_names to the names of the classes in order, or to [] to train without"
    )


def _expected(class_names: list[str] | None) -> str:
    if not class_names:
        return "a whole number"
    return f"one of the {len(class_names)} class_names or its number"
