"""Measures loaders against the bare decoding of the same files: ``python -m tests.loader_rates``.

Prints a table of images a second: Pillow's decoding to bytes, one image after the other in this process; the
training batches of ``WaveletDataModule`` in this process and with workers. Both sides run in turns.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from tabulate import tabulate

from data_modules import Scenes, Shards, WaveletDataModule
from data_modules.encoding import PictureFormat
from data_modules.prepare import prepare

SIZES = (32, 64, 256)
STORES = {
    "WebP, lossless": (PictureFormat.webp, None),
    "WebP, quality 90": (PictureFormat.webp, 90),
    "JPEG, quality 95": (PictureFormat.jpeg, 95),
}
ROUNDS = 5
BATCH = 64


def files(folder: Path) -> list[bytes]:
    """The packed pictures of shards, in their order."""
    shards = Shards(folder)
    found = []
    for index in range(len(shards)):
        shard, row = shards._find(index)
        opened = shards._open(shard)
        offset, length, _ = opened.table[row].tolist()
        opened.file.seek(offset)
        found.append(opened.file.read(length))
    return found


def bare(packed: list[bytes]) -> Callable[[], int]:
    def decode() -> int:
        for data in packed:
            with Image.open(io.BytesIO(data)) as image:
                image.tobytes()
        return len(packed)

    return decode


def loader(folder: Path, size: int, workers: int, images: int) -> Callable[[], int]:
    data = WaveletDataModule(Shards(folder), size, BATCH, seed=0, num_workers=workers, val_images=0)
    batches = iter(data.train_dataloader())
    # Workers start, and fill what they keep ready.
    for _ in islice(batches, 8):
        pass

    def read() -> int:
        return sum(len(batch["image"]) for batch in islice(batches, images // BATCH))

    return read


def rates(candidates: dict[str, Callable[[], int]]) -> dict[str, float]:
    """Images a second of each, the best of some rounds in turns."""
    best = dict.fromkeys(candidates, 0.0)
    for _ in range(ROUNDS):
        for name, run in candidates.items():
            begun = time.perf_counter()
            images = run()
            best[name] = max(best[name], images / (time.perf_counter() - begun))
    return best


def row(store: str, size: int, images: int, workers: list[int], folder: Path) -> list[object]:
    picture_format, quality = STORES[store]
    prepare(Scenes(images), folder, size, format=picture_format, quality=quality, workers=0)
    packed = files(folder)
    candidates = {"bare": bare(packed)}
    candidates |= {f"{count}": loader(folder, size, count, images) for count in workers}
    found = rates(candidates)
    one = found["0"] / found["bare"]
    kilobytes = sum(map(len, packed)) / len(packed) / 1000
    return [size, store, kilobytes, *found.values(), f"{100 * one:.0f} %"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row(store, size, options.images, options.workers, Path(folder) / f"{size}-{number}")
            for size in options.sizes
            for number, store in enumerate(STORES)
        ]
    names = [
        "pixels",
        "stored as",
        "kB",
        "bare decoding",
        *(f"{n} workers" for n in options.workers),
        "0 workers / bare",
    ]
    print(tabulate(rows, names, tablefmt="pipe", floatfmt=".4g"))


if __name__ == "__main__":
    main()
