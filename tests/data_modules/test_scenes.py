import numpy as np
import pytest
import torch
from torch import Tensor

from data_modules.errors import DataError
from data_modules.scenes import Scenes
from data_modules.scenes.canvas import Canvas
from data_modules.scenes.composition import compose
from data_modules.scenes.textures import ASHLAR, BRICK, FOLIAGE, Place, masonry, noise
from wavelight.wavelets import dwt2

SOURCE = Scenes()


def pictures(size: int, images: int = 24) -> Tensor:
    """Images of the source, (images, 3, size, size) in [0, 255]."""
    return torch.stack([SOURCE.read(index, size).image for index in range(images)]).float()


def smaller(images: Tensor, size: int) -> Tensor:
    """The images, each new pixel the mean of a block of old ones."""
    return torch.nn.functional.avg_pool2d(images, images.shape[-1] // size)


@pytest.mark.parametrize("size", [8, 16, 32, 45, 100, 256, 1024])
def test_pictures_are_whole_at_any_size(size):
    sample = SOURCE.read(3, size)
    assert sample.image.shape == (3, size, size)
    assert sample.image.dtype == torch.uint8
    assert sample.image.float().std() > 20
    assert sample.label in range(3)


def test_a_picture_depends_on_nothing_but_seed_number_and_size():
    first = SOURCE.read(5, 32)
    Scenes(seed=1).read(8, 64)
    again = Scenes(images=6).read(5, 32)
    assert torch.equal(first.image, again.image)
    assert first.label == again.label


def test_numbers_and_seeds_give_different_pictures():
    images = [SOURCE.read(index, 16).image for index in range(300)]
    images += [Scenes(seed=1).read(index, 16).image for index in range(100)]
    assert len({image.numpy().tobytes() for image in images}) == 400


@pytest.mark.parametrize(("size", "error"), [(16, 8), (32, 4), (64, 3), (128, 2)])
def test_a_small_picture_is_a_large_one_made_smaller(size, error):
    difference = pictures(size, 8) - smaller(pictures(256, 8), size)
    assert difference.abs().mean() < error
    assert difference.mean().abs() < 1


def test_sizes_agree_better_than_with_a_picture_moved_by_half_a_small_pixel():
    small, large = pictures(32, 8), pictures(256, 8)
    aligned = (small - smaller(large, 32)).square().mean()
    for axis in (-2, -1):
        for shift in (-4, 4):
            moved = (small - smaller(large.roll(shift, axis), 32)).square().mean()
            assert moved > 2 * aligned


def test_kinds_are_equally_frequent_and_named():
    kinds = [compose(np.random.default_rng((0, index))).kind for index in range(900)]
    counts = np.bincount(kinds)
    assert len(counts) == len(SOURCE.class_names) == 3
    assert counts.min() > 240


def test_sky_is_above_and_bluer_and_the_ground_is_green():
    images = pictures(32, 60)
    red, green, blue = images[:, :, :8].mean((2, 3)).unbind(1)
    assert ((blue > red) & (blue > green)).float().mean() > 0.8
    red, green, blue = images[:, :, -4:, :6].mean((2, 3)).unbind(1)
    assert ((green > red * 0.95) & (green > blue)).float().mean() > 0.9
    brightness = images.mean(1)
    assert (brightness[:, :8] - brightness[:, -4:, :6].mean((1, 2))[:, None, None]).mean() > 20


def test_buildings_stand_out_from_the_sky_at_16_pixels():
    images = pictures(16, 60)
    building, sky = images[:, :, 8:11, 7:9].mean((2, 3)), images[:, :, 6:9, :2].mean((2, 3))
    assert ((building - sky).norm(dim=1) > 25).float().mean() > 0.9


@pytest.mark.parametrize("size", [32, 256])
def test_every_haar_level_has_detail(size):
    image = pictures(size, 12) / 127.5 - 1
    # Level 1 of 256 pixels is bricks, bars and leaves; a smooth picture would be far below.
    floors = {1: 0.05, 2: 0.12, 3: 0.3, 4: 0.7}
    for floor in floors.values():
        image, details = dwt2(image)
        bands = details.unflatten(1, (3, 3)).std((0, 2, 3, 4))
        assert (bands > floor * torch.tensor([1, 1, 0.4])).all()


def test_the_spectrum_falls_like_that_of_photographs():
    grey = pictures(256, 12).mean(1)
    window = torch.hann_window(256)
    power = torch.fft.fft2((grey - grey.mean()) * window * window[:, None]).abs().square().mean(0)
    frequency = torch.fft.fftfreq(256, 1 / 256)
    radius = torch.hypot(frequency, frequency[:, None])
    bands = [2.0**k for k in range(1, 7)]
    amplitude = [power[(radius > f / 1.2) & (radius < f * 1.2)].mean().sqrt() for f in bands]
    slope = np.polyfit(np.log(bands), np.log(amplitude), 1)[0]
    assert -1.5 < slope < -0.9


@pytest.mark.parametrize("bond", [BRICK, ASHLAR])
def test_a_pixel_of_a_wall_is_the_mean_of_its_part_of_the_wall(bond):
    bond = bond._replace(variety=0.0)
    fine, coarse = (
        masonry(Canvas(size), bond, slice(0, size), slice(0, size)) for size in (1024, 128)
    )
    blocks = fine.reshape(128, 8, 128, 8).mean((1, 3))
    np.testing.assert_allclose(coarse, blocks, atol=2e-4)


def test_courses_are_laid_half_a_brick_off():
    bond = BRICK._replace(course=1 / 32, length=2.0, variety=0.0)
    wall = masonry(Canvas(1024), bond, slice(0, 1024), slice(0, 1024))
    # Courses of 32 pixels, bricks of 64.
    np.testing.assert_allclose(wall[16], np.roll(wall[48], 32), atol=1e-4)
    assert np.abs(wall[16] - wall[48]).max() > 0.2


def test_courses_below_a_pixel_are_the_mean_wall():
    wall = masonry(Canvas(1024), BRICK._replace(variety=0.0), slice(0, 1024), slice(0, 1024))
    assert masonry(Canvas(64), BRICK, slice(0, 64), slice(0, 64)) == pytest.approx(
        wall.mean(), abs=0.01
    )


def test_noise_has_unit_variance_and_fades_where_pixels_are_coarse():
    fields = [
        noise(Canvas(size), FOLIAGE, Place(0, 0), slice(0, size), slice(0, size))
        for size in (1024, 128, 32)
    ]
    assert fields[0].std() == pytest.approx(1, abs=0.07)
    assert fields[0].std() > fields[1].std() > fields[2].std() > 0.05
    blocks = fields[0].reshape(128, 8, 128, 8).mean((1, 3))
    assert np.abs(blocks - fields[1]).mean() < 0.3 * blocks.std()


def test_noise_moves_by_whole_steps_of_the_picture():
    rows = columns = slice(0, 32)
    still = noise(Canvas(64), FOLIAGE, Place(0, 0), rows, columns)
    moved = noise(Canvas(64), FOLIAGE, Place(3, 5), rows, columns)
    np.testing.assert_array_equal(moved[:-6, :-10], still[6:, 10:])


def test_coverage_is_a_share_of_area():
    canvas = Canvas(10)
    coverage = canvas.cover(((0.25, 0.31), (0.5, 0.62)), slice(0, 10))
    np.testing.assert_allclose(coverage, [0, 0, 0.5, 0.1, 0, 1, 0.2, 0, 0, 0], atol=1e-6)


@pytest.mark.parametrize("size", [7, 1025])
def test_sizes_that_cannot_be_drawn_are_refused(size):
    with pytest.raises(DataError, match=f"got {size}"):
        SOURCE.read(0, size)


def test_numbers_beyond_the_last_are_refused():
    with pytest.raises(IndexError, match="0 to 2"):
        Scenes(images=3).read(3, 16)


def test_impossible_settings_are_refused():
    with pytest.raises(DataError, match="images must be at least 1, got 0"):
        Scenes(images=0)
    with pytest.raises(DataError, match="seed must not be negative, got -1"):
        Scenes(seed=-1)


def test_the_description_tells_sources_apart():
    assert (
        len({Scenes(10, 0).description, Scenes(11, 0).description, Scenes(10, 1).description}) == 3
    )
