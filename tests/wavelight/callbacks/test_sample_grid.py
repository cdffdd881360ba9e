from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.systems import field_data, tiny_fields, tiny_wsgm
from tests.tiny import tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import SampleGrid
from wavelight.callbacks.sample_grid import band_mosaic, coarse_images
from wavelight.support.pictures import field_limit, picture_of_field, to_uint8
from wavelight.wavelets import dwt2


def test_pictures_are_named_by_images_seen_and_show_fixed_noise(tmp_path):
    trainer = tiny_trainer(
        tmp_path, SampleGrid(4, every_n_epochs=2, smallest_side=32), max_epochs=4
    )
    trainer.fit(tiny_system(), datamodule=tiny_data())
    paths = sorted((tmp_path / "samples").iterdir())
    assert [path.name for path in paths] == [f"images_{n:010d}.png" for n in (0, 64, 128)]
    first = np.asarray(Image.open(paths[0]))
    # Two by two images of 32 pixels with gaps of 2, twice, with 8 between.
    assert first.shape == (66, 2 * 66 + 8, 3)
    expected = to_uint8(tiny_system().sample(1, seed=3))[0].permute(1, 2, 0).numpy()
    assert (first[:32:2, :32:2] == expected).all()
    assert not (np.asarray(Image.open(paths[1])) == first).all()


def test_bands_are_where_they_are_said_to_be():
    image = torch.rand(1, 3, 8, 8) * 2 - 1
    coarse, details = dwt2(image)
    mosaic = band_mosaic(image)
    torch.testing.assert_close(mosaic[..., :4, :4], coarse / 2)
    torch.testing.assert_close(mosaic[..., 4:, :4], (2 * details[:, :3]).clamp(-1, 1))
    torch.testing.assert_close(mosaic[..., :4, 4:], (2 * details[:, 3:6]).clamp(-1, 1))
    torch.testing.assert_close(mosaic[..., 4:, 4:], (2 * details[:, 6:]).clamp(-1, 1))


def test_continuing_draws_no_picture_of_the_untrained(tmp_path):
    for epochs, ckpt_path in ((1, None), (2, "last")):
        trainer = tiny_trainer(tmp_path, SampleGrid(1), max_epochs=epochs)
        trainer.fit(tiny_system(), datamodule=tiny_data(), ckpt_path=ckpt_path)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == [f"images_{n:010d}.png" for n in (0, 32, 64)]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bounded", [True, False])
def test_any_number_of_channels_makes_a_picture(channels, bounded):
    system = SimpleNamespace(bounded=bounded, factorization=SimpleNamespace(wavelet="haar"))
    images = torch.rand(4, channels, 8, 8) * 2 - 1
    picture = SampleGrid(4, smallest_side=8, coarse_bands=1)._picture(images, system)
    below = channels if channels in (2, 4) or not bounded else 1
    assert picture.shape == (3 if channels == 3 or not bounded else 1, 16 * below + 2, 3 * 18 + 16)


def test_fields_are_shown_up_to_one_limit(tmp_path):
    trainer = tiny_trainer(tmp_path, SampleGrid(4, smallest_side=8), max_epochs=1)
    trainer.fit(tiny_fields(), datamodule=field_data(tmp_path))
    paths = sorted((tmp_path / "samples").iterdir())
    assert [path.name for path in paths] == [f"images_{n:010d}.png" for n in (0, 32)]
    shown = np.asarray(Image.open(paths[0]))
    assert shown.shape == (18, 2 * 18 + 8, 3)
    fields = tiny_fields().sample(4, seed=3, batch_size=4)
    scaled = fields / field_limit(fields)
    for part, left in ((scaled, 0), (band_mosaic(scaled), 26)):
        expected = picture_of_field(part)[0].permute(1, 2, 0).numpy()
        assert (shown[:8, left : left + 8] == expected).all()


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_coarse_bands_are_those_that_an_image_was_made_of(wavelet):
    system = tiny_wsgm(bounded=False, wavelet=wavelet)
    conditions = []
    decode = system.factorization.decode

    def noting(draw):
        def note(index, ll):
            conditions.append(ll)
            return draw(index, ll)

        return decode(note)

    system.factorization.decode = noting
    images = system.sample(2)
    # Generated coarsest first, and shown finest first.
    _, coarsest, finer = conditions
    for shown, generated, factor in zip(
        coarse_images(images, wavelet, 2), (finer, coarsest), (2, 4), strict=True
    ):
        assert shown.shape == images.shape
        torch.testing.assert_close(
            shown[..., ::factor, ::factor] * factor, generated, atol=1e-4, rtol=1e-4
        )


def test_coarse_bands_stand_to_the_right_of_the_same_picture(tmp_path):
    pictures = []
    for bands in (0, 2):
        grid = SampleGrid(4, smallest_side=16, coarse_bands=bands)
        folder = tmp_path / str(bands)
        trainer = tiny_trainer(folder, grid, max_epochs=1, limit_train_batches=1)
        trainer.fit(tiny_system(), datamodule=tiny_data())
        path = folder / "samples" / "images_0000000000.png"
        pictures.append(np.asarray(Image.open(path)))
    without, with_bands = pictures
    assert with_bands.shape == (34, 4 * 34 + 3 * 8, 3)
    assert (with_bands[:, : without.shape[1]] == without).all()
    image = tiny_system().sample(1, seed=3)
    mean = torch.nn.functional.avg_pool2d(image, 4).repeat_interleave(4, -1)
    expected = to_uint8(mean.repeat_interleave(4, -2))[0].permute(1, 2, 0).numpy()
    assert abs(with_bands[:16, 126:142].astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("bands", "wavelet", "sentence"),
    [
        (5, "haar", "the sides of an image must be even .*, got 1x1"),
        (3, "db4", "the image side must be at least the 8 taps of wavelet 'db4', got 4"),
    ],
)
def test_bands_that_images_have_not_are_refused(tmp_path, bands, wavelet, sentence):
    trainer = tiny_trainer(tmp_path, SampleGrid(coarse_bands=bands))
    too_many = (
        f"pictures.coarse_bands must be fewer for images of 16 pixels, got {bands}: {sentence}"
    )
    with pytest.raises(ValueError, match=too_many):
        trainer.fit(tiny_wsgm(wavelet=wavelet), datamodule=tiny_data())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"images": -1}, "pictures.images must be at least 0, got -1"),
        ({"every_n_epochs": 0}, "pictures.every_n_epochs must be at least 1, got 0"),
        ({"coarse_bands": -1}, "pictures.coarse_bands must be at least 0, got -1"),
    ],
)
def test_options_that_make_no_picture_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        SampleGrid(**options)


def test_no_images_are_no_picture(tmp_path):
    trainer = tiny_trainer(tmp_path, SampleGrid(images=0), max_epochs=1)
    trainer.fit(tiny_system(), datamodule=tiny_data())
    assert not (tmp_path / "samples").exists()
