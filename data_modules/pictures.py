"""From the bytes of a picture file, of whatever kind, to a square of 8-bit RGB."""

from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from data_modules.errors import UnusableImageError

SUFFIXES = frozenset(
    [
        ".avif",
        ".bmp",
        ".gif",
        ".jpeg",
        ".jpg",
        ".jp2",
        ".pbm",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    ]
)
"""The file names that count as pictures."""

_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
"""What Pillow may take a file for, whatever its name: others start programs (EPS) or are no pictures."""

_TRANSPARENT_MODES = ("RGBA", "LA", "PA", "RGBa", "La")


def read_picture(data: bytes | Path, name: str, size: int, upscale: bool) -> Tensor:
    """Decode a picture file, and fit it into a square.

    Args:
        data: The file, or what was read from it.
        name: Name of the picture in messages.
        size: Side of the square in pixels.
        upscale: Enlarge a picture that is smaller; else it is an error.

    Returns:
        uint8 ``(3, size, size)``.

    Raises:
        UnusableImageError: If the picture is unreadable, truncated or too small.
    """
    return to_tensor(fit(decode(data, name), name, size, upscale))


def decode(data: bytes | Path, name: str) -> Image.Image:
    """Decode a picture as the person who made it sees it, in 8-bit RGB.

    Grayscale, palettes, CMYK and 16-bit gray are converted, transparency is laid over white, and
    the orientation that a camera noted is applied. An animation gives its first frame.

    Raises:
        UnusableImageError: If the picture is unreadable or truncated.
    """
    try:
        opened = BytesIO(data) if isinstance(data, bytes) else data
        with Image.open(opened, formats=_formats()) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _rgb(image)
    except UnidentifiedImageError as error:
        raise UnusableImageError(
            f"{name} cannot be read as an image: it is in no known format"
        ) from error
    # A broken file raises different errors by the format's decoder: OSError, SyntaxError, struct.error,
    # zlib.error and more.
    except Exception as error:
        raise UnusableImageError(f"{name} cannot be read as an image: {error}") from error


def size_of_picture(data: bytes | Path, name: str) -> tuple[int, int]:
    """Return the width and height of a picture as its file has them, without decoding it.

    Raises:
        UnusableImageError: If the picture is unreadable.
    """
    try:
        with Image.open(
            BytesIO(data) if isinstance(data, bytes) else data, formats=_formats()
        ) as image:
            return image.size
    # As in `decode`.
    except Exception as error:
        raise UnusableImageError(f"{name} cannot be read as an image: {error}") from error


def fit(image: Image.Image, name: str, size: int, upscale: bool) -> Image.Image:
    """Bring the shorter side to ``size`` and cut the middle out of the longer one.

    The resize is Pillow's bilinear with antialiasing and the rounding is torchvision's, that is
    ``Resize(size)`` and ``CenterCrop(size)`` on a Pillow image, as the published WaveDiff and DDGAN
    have them.

    Raises:
        UnusableImageError: If the image is smaller than ``size`` and ``upscale`` is off.
    """
    short = min(image.size)
    if short < size and not upscale:
        raise UnusableImageError(
            f"{name} is {image.width}x{image.height}, smaller than the {size}x{size} asked for; "
            "leave it out, ask for a smaller size, or set upscale"
        )
    if short != size:
        sides = [size if side == short else size * side // short for side in image.size]
        image = image.resize((sides[0], sides[1]), Image.Resampling.BILINEAR)
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return image if image.size == (size, size) else image.crop((left, top, left + size, top + size))


def to_tensor(image: Image.Image) -> Tensor:
    """Return the pixels of an RGB image as uint8 ``(3, H, W)``, contiguous."""
    # Faster than NumPy's conversion of an image, and than a transposed copy by PyTorch.
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, 3)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


@cache
def _formats() -> list[str]:
    """Return those of the formats that this Pillow reads."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_16_bit(image).convert("RGB")
    if image.mode == "F":
        raise ValueError(
            "floating-point pixels have no known range: convert the file to 8 or 16 bits first"
        )
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    # Pillow's own conversion cuts off at 255 instead of scaling, which turns most 16-bit pictures
    # white.
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(
            f"pixels must be 8 or 16 bits, got values from {pixels.min()} to {pixels.max()}"
        )
    return Image.fromarray(((pixels + 128) // 257).astype(np.uint8))
