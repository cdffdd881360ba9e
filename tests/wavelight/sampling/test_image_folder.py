import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.systems import score_model, tiny_fields, tiny_sgm
from tests.tiny import tiny_system, tiny_trainer
from wavelight.checkpoints.digest import digest
from wavelight.sampling.image_folder import FieldFolder, PictureFolder, image_folder
from wavelight.support.pictures import field_limit, picture_of_field


def images(n):
    return torch.rand(n, 3, 4, 4) * 2 - 1


def test_finished_images_are_not_generated_again(tmp_path):
    folder = PictureFolder(tmp_path / "generated", 5, seed=0)
    assert folder.missing() == [0, 1, 2, 3, 4]
    folder.claim("weights")
    folder.write([0, 3], images(2))
    assert folder.missing() == [1, 2, 4]


def test_batches_are_cut_where_they_are_of_all_images(tmp_path):
    folder = PictureFolder(tmp_path / "generated", 7, seed=0)
    assert folder.missing_batches(2) == [range(0, 2), range(2, 4), range(4, 6), range(6, 7)]
    folder.write([0, 2, 3, 5], images(4))
    assert folder.missing_batches(2) == [range(0, 2), range(4, 6), range(6, 7)]
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        folder.missing_batches(0)


def test_an_incomplete_folder_is_not_packed(tmp_path):
    folder = PictureFolder(tmp_path, 3, seed=0)
    folder.write([0, 2], images(2))
    with pytest.raises(ValueError, match=r"must have all 3 images to pack them, got 2"):
        folder.pack()
    assert folder.missing() == [1]


@pytest.mark.parametrize(("seed", "weights"), [(1, "weights"), (0, "others")])
def test_images_of_another_origin_are_not_mixed_in(tmp_path, seed, weights):
    PictureFolder(tmp_path, 5, seed=0).claim("weights")
    with pytest.raises(ValueError, match="of another checkpoint or seed"):
        PictureFolder(tmp_path, 5, seed).claim(weights)
    PictureFolder(tmp_path, 9, seed=0).claim("weights")


def test_images_of_unknown_origin_are_left_alone(tmp_path):
    folder = PictureFolder(tmp_path, 2, seed=0)
    folder.write([1], images(1))
    with pytest.raises(ValueError, match="unknown origin"):
        folder.claim("weights")


def test_packing_keeps_every_pixel(tmp_path):
    folder = PictureFolder(tmp_path, 3, seed=0)
    folder.claim("weights")
    folder.write([0, 1, 2], images(3))
    pixels = [np.asarray(Image.open(tmp_path / f"{number:06d}.png")) for number in range(3)]
    packed = np.load(folder.pack())["arr_0"]
    assert packed.shape == (3, 4, 4, 3)
    assert (packed == np.stack(pixels)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generated.json", "images.npz"]
    assert json.loads((tmp_path / "generated.json").read_text()) == {
        "seed": 0,
        "weights": "weights",
    }
    with pytest.raises(ValueError, match="exists"):
        folder.missing()


def test_digest_is_of_the_weights_that_sample():
    one, two = tiny_system(), tiny_system()
    assert digest(one) == digest(two)
    with torch.no_grad():
        two.models[0].discriminator.score.bias.add_(1)
    assert digest(one) == digest(two)
    with torch.no_grad():
        two.models[0].generator.head.bias.add_(1)
    assert digest(one) != digest(two)


def test_no_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="images must be at least 1, got 0"):
        PictureFolder(tmp_path, 0, 0)


def test_a_field_is_kept_as_it_is(tmp_path):
    folder, fields = FieldFolder(tmp_path, 5, seed=0), 9 * torch.randn(5, 2, 8, 8)
    folder.claim("weights")
    folder.write([0, 3], fields[[0, 3]])
    assert folder.missing() == [1, 2, 4]
    folder.write([1, 2, 4], fields[[1, 2, 4]])
    alone = np.load(tmp_path / "000003.npy")
    assert (alone.dtype, alone.shape) == (np.float32, (2, 8, 8))
    assert (alone == fields[3].numpy()).all()
    grid = np.asarray(Image.open(folder.write_grid()))
    expected = picture_of_field(fields / field_limit(fields))[0].permute(1, 2, 0).numpy()
    assert (grid[: 8 * 16 : 8, : 8 * 8 : 8] == expected).all()
    packed = np.load(folder.pack())["arr_0"]
    assert packed.dtype == np.float32
    assert (packed == fields.numpy()).all()
    names = ["generated.json", "grid.png", "images.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    with pytest.raises(ValueError, match="exists"):
        folder.missing()


def test_a_half_written_field_is_not_finished(tmp_path):
    (tmp_path / ".000000.npy.17.part").write_bytes(b"half")
    assert FieldFolder(tmp_path, 1, seed=0).missing() == [0]


def test_grey_pictures_make_a_grid_and_a_pack(tmp_path):
    folder = PictureFolder(tmp_path, 2, seed=0)
    folder.write([0, 1], images(2)[:, :1])
    assert Image.open(folder.write_grid()).size == (130, 64)
    assert np.load(folder.pack())["arr_0"].shape == (2, 4, 4)


def test_what_a_system_samples_says_what_its_folder_holds(tmp_path):
    two_channels = tiny_sgm(model=score_model(), channels=2)
    kinds = {
        type(image_folder(system, tmp_path, 1, 0))
        for system in (tiny_system(), tiny_fields(bounded=True))
    }
    assert kinds == {PictureFolder}
    for system in (tiny_fields(), two_channels):
        assert isinstance(image_folder(system, tmp_path, 1, 0), FieldFolder)


def test_predicting_fields_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "fields"
    for images in (3, 5):
        tiny_trainer(tmp_path).predict(tiny_fields(), images=images, out=path, seed=4, batch_size=2)
    expected = tiny_fields().sample(5, seed=4).numpy()
    for number, field in enumerate(expected):
        np.testing.assert_allclose(np.load(path / f"{number:06d}.npy"), field, atol=1e-4)
