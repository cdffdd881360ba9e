import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.wavelight.conftest import tiny_system
from wavelight.drawing import ImageFolder, digest


def images(n):
    return torch.rand(n, 3, 4, 4) * 2 - 1


def test_finished_images_are_not_drawn_again(tmp_path):
    folder = ImageFolder(tmp_path / "drawn", 5, seed=0)
    assert folder.missing() == [0, 1, 2, 3, 4]
    folder.claim("weights")
    folder.write([0, 3], images(2))
    assert folder.missing() == [1, 2, 4]


@pytest.mark.parametrize(("seed", "weights"), [(1, "weights"), (0, "others")])
def test_images_of_another_origin_are_not_mixed_in(tmp_path, seed, weights):
    ImageFolder(tmp_path, 5, seed=0).claim("weights")
    with pytest.raises(ValueError, match="of another checkpoint or seed"):
        ImageFolder(tmp_path, 5, seed).claim(weights)
    ImageFolder(tmp_path, 9, seed=0).claim("weights")


def test_images_of_unknown_origin_are_left_alone(tmp_path):
    folder = ImageFolder(tmp_path, 2, seed=0)
    folder.write([0], images(1))
    with pytest.raises(ValueError, match="unknown origin"):
        folder.claim("weights")


def test_packing_keeps_every_pixel(tmp_path):
    folder = ImageFolder(tmp_path, 3, seed=0)
    folder.claim("weights")
    folder.write([0, 1, 2], images(3))
    pixels = [np.asarray(Image.open(tmp_path / f"{number:06d}.png")) for number in range(3)]
    packed = np.load(folder.pack())["arr_0"]
    assert packed.shape == (3, 4, 4, 3)
    assert (packed == np.stack(pixels)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drawn.json", "images.npz"]
    assert json.loads((tmp_path / "drawn.json").read_text()) == {"seed": 0, "weights": "weights"}
    with pytest.raises(ValueError, match="exists"):
        folder.missing()


def test_digest_is_of_the_weights_that_draw():
    one, two = tiny_system(), tiny_system()
    assert digest(one) == digest(two)
    with torch.no_grad():
        two.models[0].discriminator.score.bias.add_(1)
    assert digest(one) == digest(two)
    with torch.no_grad():
        two.models[0].generator.head.bias.add_(1)
    assert digest(one) != digest(two)


def test_no_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1, not 0"):
        ImageFolder(tmp_path, 0, 0)
