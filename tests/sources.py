"""Sources of numbered images, and data modules and databases of them."""

from types import SimpleNamespace

import torch

from data_modules import WaveletDataModule
from data_modules.errors import UnusableImageError
from data_modules.source import Sample, Source


class Numbered(Source):
    """Images whose every pixel says their number, with a mark in the left column."""

    def __init__(self, images=10, broken=()):
        self.images = images
        self.broken = broken

    description = "numbered"

    def __len__(self):
        return self.images

    def read(self, index, size):
        if index in self.broken:
            raise UnusableImageError(f"image {index} is broken")
        image = torch.full((3, size, size), index, dtype=torch.uint8)
        image[:, :, 0] = 255
        return Sample(image, index % 3)


class Physical(Numbered):
    """Unbounded float images of one channel."""

    channels = 1
    value_range = None

    def read(self, index, size):
        return Sample(torch.full((1, size, size), 1000.0 + index))


def module(source=None, rank=0, ranks=1, images_seen=0, **options):
    data = WaveletDataModule(
        source or Numbered(),
        **{"image_size": 4, "batch_size": 4, "num_workers": 0, "eval_batch_size": 3} | options,
    )
    data.trainer = SimpleNamespace(
        global_rank=rank,
        world_size=ranks,
        lightning_module=SimpleNamespace(images_seen=images_seen),
    )
    return data


def write_lmdb(path, values, keys=None):
    import lmdb

    with (
        lmdb.open(str(path), map_size=2**22) as environment,
        environment.begin(write=True) as transaction,
    ):
        for number, value in enumerate(values):
            transaction.put(keys[number] if keys else str(number).encode(), value)
    return path


def numbers(source, size=8):
    """The numbers of the pictures in a source, read from their first pixel."""
    return [int(source.read(index, size).image[0, 0, 0]) for index in range(len(source))]
