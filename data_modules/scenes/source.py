"""The source of images that are drawn when they are read."""

import numpy as np
import torch
from typing_extensions import override

from data_modules.errors import DataError
from data_modules.scenes.composition import BUILDINGS, compose
from data_modules.scenes.textures import LARGEST
from data_modules.source import Sample, Source

SMALLEST = 8

# To be raised with every change that alters any picture, for it keys the caches of statistics.
_EDITION = 1


class Scenes(Source):
    """Procedural colour scenes: a church, castle or house in a landscape at some time of day.

    They need no file and have structure at every scale, from the sky down to bricks, window bars
    and leaves. Image i is a function of the seed, i and the size alone, and at another size it is
    the same scene. The label tells the kind of building: 0 church, 1 castle, 2 house.

    Args:
        images: How many different images there are.
        seed: Which images they are; another seed gives others of the same kind. At least 0.

    Raises:
        DataError: If there are no images, or the seed is negative.
    """

    def __init__(self, images: int = 1_000_000, seed: int = 0) -> None:
        if images < 1:
            raise DataError(f"images must be at least 1, got {images}")
        if seed < 0:
            raise DataError(f"seed must not be negative, got {seed}")
        self.images = images
        self.seed = seed

    @property
    @override
    def description(self) -> str:
        return f"scenes, edition {_EDITION}: {self.images} images of seed {self.seed}"

    @property
    @override
    def class_names(self) -> list[str]:
        return list(BUILDINGS)

    @override
    def __len__(self) -> int:
        return self.images

    @override
    def read(self, index: int, size: int) -> Sample:
        """Draw one image, ``(3, size, size)`` uint8, and say of what kind it is.

        Raises:
            IndexError: If there is no image of this number.
            DataError: If scenes cannot be drawn at this size.
        """
        if not 0 <= index < self.images:
            raise IndexError(
                f"scene {index} is out of range: scenes are numbered 0 to {self.images - 1}"
            )
        if not SMALLEST <= size <= LARGEST:
            raise DataError(
                f"image_size of scenes must be from {SMALLEST} to {LARGEST} pixels, got {size}"
            )
        scene = compose(np.random.default_rng((self.seed, index)))
        return Sample(torch.from_numpy(scene.render(size)), scene.kind)
