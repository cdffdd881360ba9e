from collections.abc import Callable
from pathlib import Path

import pytest

from data_modules.prepare import prepare
from tests.pictures import picture


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes folders of pictures in two classes."""

    def make(images: int = 10, side: int = 8, name: str = "pictures") -> Path:
        folder = tmp_path / name
        for label in ("cat", "dog"):
            (folder / label).mkdir(parents=True)
        for number in range(images):
            picture(number, side).save(folder / ("cat", "dog")[number % 2] / f"{number:03d}.png")
        return folder

    return make


@pytest.fixture
def make_shards(make_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Makes folders of shards from such pictures."""

    def make(
        images: int = 20, shard_images: int = 3, held_out: int = 0, name: str = "shards"
    ) -> Path:
        folder = make_folder(images, name=f"{name}-pictures")
        prepare(folder, tmp_path / name, 8, held_out=held_out, shard_images=shard_images, workers=0)
        return tmp_path / name

    return make
