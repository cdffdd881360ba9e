"""Pictures that tests can tell apart, and their bytes."""

from io import BytesIO

import numpy as np
from PIL import Image


def picture(number: int, side: int = 8) -> Image.Image:
    """A picture that can be told from every other one by its top left pixel."""
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    pixels[0, 0] = number % 256, number // 256, 77
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
