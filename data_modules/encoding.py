"""How ``prepare`` stores pictures: without loss, or smaller and faster to read with some."""

from enum import Enum
from io import BytesIO

import numpy as np
from PIL import Image
from torch import Tensor

from data_modules.errors import DataError


class PictureFormat(Enum):
    """Formats of pictures in shards, with their suffix in the tar."""

    webp = "webp"
    jpeg = "jpg"


def check_quality(picture_format: PictureFormat, quality: int | None) -> None:
    """Refuse qualities that a format does not have.

    Args:
        picture_format: The format.
        quality: 1 to 100; none is without loss, which JPEG is not.

    Raises:
        DataError: If there is no such quality.
    """
    if quality is None and picture_format is PictureFormat.jpeg:
        raise DataError(
            "quality must be given for jpeg, which is not without loss, got none: give --quality 95, or --format webp"
        )
    if quality is not None and not 1 <= quality <= 100:
        raise DataError(f"quality must be 1 to 100, or none to store without loss, got {quality}")


def encode(image: Tensor, picture_format: PictureFormat, quality: int | None) -> bytes:
    """Return a picture's file.

    JPEG keeps colours at full resolution: where it is halved, as is usual, and as WebP with loss always has it, the
    finest details of colour are lost.

    Args:
        image: ``(3, H, W)`` uint8.
        picture_format: The format.
        quality: 1 to 100, none without loss.
    """
    buffer = BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    if picture_format is PictureFormat.jpeg:
        picture.save(buffer, "JPEG", quality=quality, subsampling=0)
    elif quality is None:
        # The fastest method; slower ones save a few per cent.
        picture.save(buffer, "WEBP", lossless=True, method=0)
    else:
        picture.save(buffer, "WEBP", quality=quality)
    return buffer.getvalue()
