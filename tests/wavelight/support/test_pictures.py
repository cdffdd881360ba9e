import math

import pytest
import torch

from wavelight.support.pictures import (
    field_limit,
    grid,
    picture_of_field,
    picture_of_pixels,
    to_uint8,
)


def test_the_signs_of_a_field_are_blue_and_red():
    colours = picture_of_field(torch.tensor([[[[-7.0, -1.0, 0.0, 1.0, 7.0]]]]))[0, :, 0].T.tolist()
    assert colours[0] == colours[1] == [5, 48, 97]
    assert colours[2] == [247, 247, 247]
    assert colours[3] == colours[4] == [103, 0, 31]


def test_colours_darken_evenly_with_the_magnitude():
    values = torch.linspace(-1, 1, 101).reshape(1, 1, 1, -1)
    weights = torch.tensor([0.2126, 0.7152, 0.0722])[:, None]
    light = (weights * picture_of_field(values)[0, :, 0].float()).sum(0)
    assert (light[:51].diff() > 0).all()
    assert (light[50:].diff() < 0).all()


def test_what_is_no_number_is_shown_as_nothing():
    values = torch.tensor([math.nan, math.inf, -math.inf]).reshape(1, 1, 1, 3)
    colours = picture_of_field(values)[0, :, 0].T.tolist()
    assert colours == [[247, 247, 247], [103, 0, 31], [5, 48, 97]]
    assert field_limit(values) == 1


def test_the_limit_leaves_out_the_largest_of_two_hundred():
    values = torch.arange(-200, 0).float().reshape(2, 1, 10, 10)
    assert field_limit(values) == 199
    assert field_limit(torch.zeros(1, 1, 2, 2)) == 1
    assert field_limit(torch.tensor(-3.0)) == 3


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_no_channel_is_lost(channels):
    images = torch.rand(2, channels, 4, 6) * 2 - 1
    fields = picture_of_field(images)
    assert fields.shape == (2, 3, 4 * channels, 6)
    torch.testing.assert_close(fields[:, :, -4:], picture_of_field(images[:, -1:]))
    pixels = picture_of_pixels(images)
    if channels in (1, 3):
        assert torch.equal(pixels, to_uint8(images))
    else:
        assert pixels.shape == (2, 1, 4 * channels, 6)
        assert torch.equal(pixels[:, :, -4:], to_uint8(images[:, -1:]))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("number", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (10, 3, 4)]
)
def test_images_lie_side_by_side_on_white(channels, number, rows, columns):
    images = torch.randint(255, (number, channels, 4, 5), dtype=torch.uint8)
    picture = grid(images, scale=2)
    assert picture.shape == (channels, 10 * rows - 2, 12 * columns - 2)
    canvas = torch.full_like(picture, 255)
    for place, image in enumerate(images.repeat_interleave(2, -1).repeat_interleave(2, -2)):
        top, left = 10 * (place // columns), 12 * (place % columns)
        canvas[:, top : top + 8, left : left + 10] = image
    assert torch.equal(picture, canvas)
