import numpy as np
import pytest
import torch
from PIL import Image

from data_modules.errors import UnusableImageError
from data_modules.pictures import decode, fit, read_picture, to_tensor
from tests.pictures import encoded, picture


def first_pixel(data: bytes) -> tuple[int, ...]:
    image = decode(data, "it")
    assert image.mode == "RGB"
    return image.getpixel((0, 0))


def test_grayscale_has_three_equal_channels():
    assert first_pixel(encoded(Image.new("L", (4, 4), 90))) == (90, 90, 90)


def test_grayscale_of_16_bits_is_scaled_and_not_cut_off():
    for value, expected in ((0, 0), (257 * 90, 90), (65535, 255)):
        pixels = np.full((4, 4), value, dtype=np.uint16)
        assert first_pixel(encoded(Image.fromarray(pixels))) == (expected,) * 3


def test_one_bit_is_black_and_white():
    assert first_pixel(encoded(Image.new("1", (4, 4), 1))) == (255, 255, 255)


def test_palette_becomes_its_colours():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])

    assert first_pixel(encoded(image)) == (10, 200, 30)


def test_transparent_palette_lies_on_white():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])

    assert first_pixel(encoded(image, transparency=1)) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))])
def test_transparency_lies_on_white(mode, colour):
    assert first_pixel(encoded(Image.new(mode, (4, 4), colour))) == (255, 255, 255)


def test_half_transparency_is_mixed_with_white():
    assert first_pixel(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 127)))) == (128, 128, 128)


def test_cmyk_becomes_rgb():
    pixel = first_pixel(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=95))

    assert np.abs(np.array(pixel) - (0, 255, 255)).max() < 12


def test_floating_point_is_refused_with_the_name():
    with pytest.raises(UnusableImageError, match=r"^it cannot be read.*floating"):
        decode(encoded(Image.new("F", (4, 4), 0.5), "TIFF"), "it")


ORIENTED = {
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 100, "subsampling": 0},
}


@pytest.mark.parametrize("kind", ORIENTED)
@pytest.mark.parametrize("place", ["exif", "xmp"])
def test_the_camera_s_orientation_is_applied(kind, place):
    if place == "xmp" and kind in ("PNG", "TIFF"):
        pytest.skip("Pillow writes none there")
    image = picture(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    notes = {"exif": exif, "xmp": b'<x tiff:Orientation="6"/>'}

    options = ORIENTED[kind] | {place: notes[place]}
    upright = np.asarray(decode(encoded(image, kind, **options), "it")).astype(int)

    expected = np.asarray(decode(encoded(image, kind, **ORIENTED[kind]), "it")).astype(int)
    assert np.array_equal(upright, np.rot90(expected, -1))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_image_is_an_error_with_its_name(kind):
    data = encoded(picture(0, 64), kind)

    with pytest.raises(UnusableImageError, match=r"^some.png cannot be read"):
        decode(data[: len(data) // 2], "some.png")


@pytest.mark.parametrize("data", [b"", b"no image at all"])
def test_what_is_no_image_is_an_error_with_its_name(data):
    with pytest.raises(UnusableImageError, match=r"^some.png cannot be read"):
        decode(data, "some.png")


@pytest.mark.parametrize("size", [(31, 20), (20, 31), (16, 16), (40, 16), (101, 57), (17, 16)])
def test_fit_is_torchvision_s_resize_and_centre_crop(size):
    from torchvision.transforms.functional import center_crop, resize

    image = picture(1, 128).resize(size)

    expected = center_crop(resize(image, 16), 16)

    assert np.array_equal(np.asarray(fit(image, "it", 16, upscale=False)), np.asarray(expected))


def test_a_small_image_is_an_error_that_says_what_to_do():
    with pytest.raises(UnusableImageError, match=r"it is 8x8, smaller than the 16x16.*upscale"):
        fit(picture(0), "it", 16, upscale=False)


def test_a_small_image_is_enlarged_when_asked():
    assert fit(picture(0), "it", 16, upscale=True).size == (16, 16)


def test_a_picture_becomes_channels_first_bytes():
    tensor = read_picture(encoded(picture(300)), "it", 8, upscale=False)

    assert tensor.dtype == torch.uint8
    assert tensor.shape == (3, 8, 8)
    assert tensor[:, 0, 0].tolist() == [44, 1, 77]
    assert torch.equal(tensor, to_tensor(picture(300)))
