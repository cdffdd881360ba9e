"""Turns any source of images into shards that are read fast: resized once, and in random order."""

import os
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

from data_modules import shard_index
from data_modules.encoding import PictureFormat, check_quality, encode
from data_modules.errors import DataError, UnusableImageError
from data_modules.order import Permutation
from data_modules.reading import read_sample
from data_modules.shard_index import (
    Shard,
    ShardIndex,
    read_json,
    table_name,
)
from data_modules.source import Source
from wavelight.support.files import draft_of, remove_drafts, write_json, write_text

_WORK = ".prepare"
_ORDER_KEY = 0x9A3D
_CHUNK_IMAGES = 32
_CHUNKS_AHEAD = 4

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class ShardsSummary:
    """Result of ``prepare``."""

    folder: Path
    training_images: int
    held_out_images: int
    unreadable_images: int
    shards: int
    bytes: int

    def __str__(self) -> str:
        return (
            f"{self.training_images:,} images to train on and {self.held_out_images:,} held out are in "
            f"{self.folder}: {self.shards} shards, {self.bytes / 1e6:,.1f} MB; "
            f"{self.unreadable_images:,} could not be read"
        )


def prepare(
    source: Source | Path,
    out: Path,
    image_size: int,
    held_out: int = 0,
    shard_images: int = 2048,
    workers: int | None = None,
    max_unreadable: int | None = None,
    upscale: bool = False,
    format: PictureFormat = PictureFormat.webp,
    quality: int | None = None,
) -> ShardsSummary:
    """Turn images into webdataset shards with an index, from which ``data_modules.Shards`` reads.

    Each image is resized by its shorter side and its middle cut out, once; images are put in one
    random order, and stored by default as lossless WebP: a quarter smaller than PNG, written several
    times faster, and read as fast. With some loss, files are smaller and read faster. An interrupted
    call that is given again finishes what is missing.
    Images that cannot be read or are too small are left out and listed in ``unreadable.txt``.

    Args:
        source: A folder of pictures, a zip of them, an LMDB, or any source class, such as
            ``CIFAR10``.
        out: The folder to write the shards into.
        image_size: Height and width of the prepared images in pixels.
        held_out: How many images to set aside, in shards of their own that are never trained on.
        shard_images: Images in a shard. With many images, a shard is best some 50 to 500 MB.
        workers: Processes that decode and resize; by default one a core, and with 0 none.
        max_unreadable: Stop when more images than this cannot be read; by default never.
        upscale: Whether pictures smaller than the image size are enlarged; else they count as
            unreadable. For a source class, give this to the class.
        format: How pictures are stored: webp or jpeg.
        quality: Of the stored pictures, 1 to 100; by default they are stored without loss, which jpeg cannot.

    Returns:
        The numbers of images and shards made.

    Raises:
        DataError: If there are no images, too many cannot be read, or ``out`` holds what was
            prepared otherwise.
    """
    source = source if isinstance(source, Source) else open_source(Path(source), upscale)
    check_quality(format, quality)
    source.fetch()
    plan = _Plan.make(source, image_size, held_out, shard_images, format, quality)
    out = Path(out)
    _claim(out, plan.settings)
    if not (out / shard_index.NAME).exists():
        _write_missing(
            source, plan, out, os.cpu_count() or 1 if workers is None else workers, max_unreadable
        )
        _finish(source, plan, out)
    return _summarise(out)


def open_source(path: Path, upscale: bool = False) -> Source:
    """Recognise what lies at a path: an LMDB, a zip, or a folder of pictures.

    Raises:
        DataError: If it is none of them.
    """
    from data_modules.databases import Lmdb
    from data_modules.files import ImageFolder, ImageZip

    if (path / "data.mdb").exists() or path.suffix in (".lmdb", ".mdb"):
        return Lmdb(path, upscale=upscale)
    if path.is_dir():
        return ImageFolder(path, upscale)
    if path.suffix.lower() == ".zip":
        return ImageZip(path, upscale)
    raise DataError(f"{path} is neither a folder of images, nor a zip, nor an LMDB: check the path")


class _PlannedShard(NamedTuple):
    file: str
    held_out: bool
    places: range
    """Which places of the random order of all images it holds."""


class _Plan(NamedTuple):
    """Which image goes into which shard: a function of the settings, so it can be resumed."""

    settings: dict[str, Any]
    shards: list[_PlannedShard]

    @classmethod
    def make(
        cls,
        source: Source,
        image_size: int,
        held_out: int,
        shard_images: int,
        picture_format: PictureFormat,
        quality: int | None,
    ) -> "_Plan":
        images = len(source)
        if source.channels != 3 or source.value_range != (-1.0, 1.0):
            raise DataError(
                "prepare stores 8-bit RGB pictures only: train on any other source directly"
            )
        if not 0 <= held_out < images:
            raise DataError(
                f"held_out must be from 0 to less than the {images} images there are, got {held_out}"
            )
        if image_size < 1 or shard_images < 1:
            raise DataError(
                f"image_size and shard_images must be at least 1, got {image_size} and "
                f"{shard_images}"
            )
        settings = {
            "source": sha256(source.description.encode()).hexdigest(),
            "image_size": image_size,
            "held_out": held_out,
            "shard_images": shard_images,
            "format": picture_format.name,
            "quality": quality,
        }
        aside = _cut("held-out", range(held_out), shard_images)
        return cls(settings, [*aside, *_cut("train", range(held_out, images), shard_images)])


class _Encoded(NamedTuple):
    """An image on its way into a shard, or why it is left out."""

    data: bytes
    label: int
    problem: str = ""


class _Encoder:
    """Reads images and encodes them, in whatever process."""

    def __init__(self, source: Source, settings: dict[str, Any]) -> None:
        self._source = source
        self._size = settings["image_size"]
        self._format = PictureFormat[settings["format"]]
        self._quality = settings["quality"]

    def __call__(self, indices: list[int]) -> list[_Encoded]:
        return [self._encode(index) for index in indices]

    def _encode(self, index: int) -> _Encoded:
        try:
            image, label = read_sample(self._source, index, self._size)
        except UnusableImageError as error:
            return _Encoded(b"", -1, str(error))
        return _Encoded(encode(image, self._format, self._quality), label)


def _cut(part: str, places: range, shard_images: int) -> Iterator[_PlannedShard]:
    for number, start in enumerate(range(0, len(places), shard_images)):
        yield _PlannedShard(
            f"{part}-{number:06d}.tar", part == "held-out", places[start : start + shard_images]
        )


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Make the folder ours, or see that it is."""
    path = out / _WORK / "settings.json"
    if (out / shard_index.NAME).exists():
        found = ShardIndex.read(out).settings
    elif path.exists():
        found = read_json(path)
    elif out.exists() and any(out.iterdir()):
        raise DataError(f"{out} holds other files: choose a new or an empty folder")
    else:
        write_json(path, settings)
        return
    changed = [name for name, value in settings.items() if found.get(name) != value]
    if changed:
        raise DataError(
            f"{out} was prepared with another {' and '.join(changed)}: choose a new folder"
        )


def _write_missing(
    source: Source, plan: _Plan, out: Path, workers: int, max_unreadable: int | None
) -> None:
    remove_drafts(out)
    order = Permutation(len(source), _ORDER_KEY)
    missing = [shard for shard in plan.shards if not _note(out, shard).exists()]
    total = sum(len(shard.places) for shard in missing)
    chunks = (
        order(shard.places[start : start + _CHUNK_IMAGES]).tolist()
        for shard in missing
        for start in range(0, len(shard.places), _CHUNK_IMAGES)
    )
    encoded = _in_parallel(_Encoder(source, plan.settings), chunks, workers)
    console = Console(stderr=True)
    images = _report(chain.from_iterable(encoded), console, _unreadable(plan, out), max_unreadable)
    images = iter(track(images, "Preparing", total=total, console=console))
    suffix = PictureFormat[plan.settings["format"]].value
    for shard in missing:
        _write_shard(out, shard, islice(images, len(shard.places)), suffix)
    # Lets the progress bar come to its end.
    next(images, None)


def _report(
    images: Iterable[_Encoded], console: Console, unreadable: list[str], limit: int | None
) -> Iterator[_Encoded]:
    """Pass images on, saying what is left out, until that is too much."""
    count = len(unreadable)
    for image in images:
        if image.problem:
            count += 1
            console.print(
                f"Left out: {image.problem}", style="yellow", markup=False, highlight=False
            )
            if limit is not None and count > limit:
                raise DataError(
                    f"more than max_unreadable = {limit} images cannot be used: {image.problem}"
                )
        yield image


def _write_shard(out: Path, shard: _PlannedShard, images: Iterable[_Encoded], suffix: str) -> None:
    """Write the tar, then its table, then the note that says that both are whole."""
    with draft_of(out / shard.file) as draft:
        labels, problems = _write_tar(draft, shard.places, images, suffix)
        places = _locate(draft, suffix)
    table = np.array(
        [(*place, label) for place, label in zip(places, labels, strict=True)], dtype=np.int64
    )
    with draft_of(out / table_name(shard.file)) as draft, draft.open("wb") as file:
        np.save(file, table.reshape(-1, 3))
    made = Shard(shard.file, len(labels), (out / shard.file).stat().st_size, shard.held_out)
    write_json(_note(out, shard), {"shard": asdict(made), "unreadable": problems})


def _write_tar(
    path: Path, places: range, images: Iterable[_Encoded], suffix: str
) -> tuple[list[int], list[str]]:
    """Write what is usable; return the labels of that, and what was wrong with the rest."""
    from webdataset import TarWriter

    labels, problems = [], []
    # A fixed time makes shards equal, byte for byte, whenever they are written.
    with path.open("wb") as file, TarWriter(file, encoder=False, mtime=0) as tar:
        for place, image in zip(places, images, strict=True):
            if image.problem:
                problems.append(image.problem)
                continue
            label = {"cls": str(image.label).encode()} if image.label >= 0 else {}
            tar.write({"__key__": f"{place:012d}", suffix: image.data, **label})
            labels.append(image.label)
    return labels, problems


def _locate(path: Path, suffix: str) -> list[tuple[int, int]]:
    """Return offset and length of each image in a tar."""
    with tarfile.open(path, "r:") as tar:
        return [
            (member.offset_data, member.size)
            for member in tar
            if member.name.endswith(f".{suffix}")
        ]


def _finish(source: Source, plan: _Plan, out: Path) -> None:
    shards = [Shard(**read_json(_note(out, shard))["shard"]) for shard in plan.shards]
    unreadable = _unreadable(plan, out)
    if not any(shard.images for shard in shards if not shard.held_out):
        raise DataError(f"none of the {len(source)} images can be used; {unreadable[0]}")
    write_text(out / "unreadable.txt", "".join(f"{problem}\n" for problem in unreadable))
    index = ShardIndex(
        plan.settings["image_size"], source.class_names, shards, len(unreadable), plan.settings
    )
    index.write(out)
    for path in (out / _WORK).iterdir():
        path.unlink()
    (out / _WORK).rmdir()


def _summarise(out: Path) -> ShardsSummary:
    index = ShardIndex.read(out)
    return ShardsSummary(
        folder=out,
        training_images=index.images(held_out=False),
        held_out_images=index.images(held_out=True),
        unreadable_images=index.unreadable,
        shards=len(index.shards),
        bytes=sum(shard.bytes for shard in index.shards),
    )


def _note(out: Path, shard: _PlannedShard) -> Path:
    return out / _WORK / f"{shard.file}.json"


def _unreadable(plan: _Plan, out: Path) -> list[str]:
    notes = [_note(out, shard) for shard in plan.shards]
    return [problem for note in notes if note.exists() for problem in read_json(note)["unreadable"]]


def _in_parallel(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Map in order over worker processes, only a few items ahead, so that memory stays bounded."""
    if workers == 0:
        yield from map(function, items)
        return
    waiting: deque[Future[R]] = deque()
    pool = ProcessPoolExecutor(workers, initializer=_set_function, initargs=(function,))
    try:
        for item in items:
            waiting.append(pool.submit(_call_function, item))
            if len(waiting) >= _CHUNKS_AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


_function: Callable[[Any], Any]


def _set_function(function: Callable[[Any], Any]) -> None:
    # Sent once to each process, since it holds the whole list of files.
    global _function
    _function = function


def _call_function(item: Any) -> Any:
    return _function(item)
