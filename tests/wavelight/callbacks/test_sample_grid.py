import numpy as np
import torch
from PIL import Image

from tests.wavelight.conftest import tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import SampleGrid
from wavelight.callbacks.sample_grid import band_mosaic
from wavelight.metrics.base import to_uint8
from wavelight.wavelets import analysis


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
    coarse, details = analysis(image)
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
