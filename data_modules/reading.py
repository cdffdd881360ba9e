"""Reading of one image of any source, one's own among them, with a check of what it gives."""

import hashlib

import torch
from torch import Tensor

from data_modules.errors import DataError, UnusableImageError
from data_modules.source import Sample, Source

_FORMATS = (torch.uint8, torch.float32)
_PROBES = 8


def read_sample(source: Source, index: int, size: int) -> Sample:
    """Read one image, and check that it is what the source says of its images.

    Raises:
        UnusableImageError: If this image cannot be read, or holds values that are not finite.
        DataError: If the source gives images of another kind than it says.
    """
    try:
        sample = source.read(index, size)
    except DataError:
        raise
    # What NumPy, Pillow and files raise for damaged input, of sources that do not say it in words.
    except (ValueError, OSError, EOFError) as error:
        raise UnusableImageError(f"{source.name(index)} cannot be read: {error}") from error
    _check(sample.image, source, index, size)
    return sample


def contents(source: Source, size: int) -> str:
    """Return a digest of a few images, which changes even where a source's description fails to.

    Args:
        source: Any source, one's own among them.
        size: Height and width at which images are read.
    """
    probes = min(_PROBES, len(source))
    digest = hashlib.sha256()
    for probe in range(probes):
        digest.update(_content(source, probe * len(source) // probes, size))
    return digest.hexdigest()


def _content(source: Source, index: int, size: int) -> bytes:
    try:
        image, label = read_sample(source, index, size)
    except UnusableImageError:
        return b"unusable"
    return image.contiguous().numpy().tobytes() + str(label).encode()


def _check(image: Tensor, source: Source, index: int, size: int) -> None:
    expected = (source.channels, size, size)
    if image.shape != expected or image.dtype not in _FORMATS:
        raise DataError(
            f"{source.name(index)} must be read by {type(source).__name__} as uint8 or float32 of shape "
            f"{expected}, got {image.dtype} of {tuple(image.shape)}: mend its read, or its channels"
        )
    if image.dtype == torch.uint8:
        if source.value_range != (-1.0, 1.0):
            raise DataError(
                f"{source.name(index)} must be read by {type(source).__name__} as float32, got uint8, which stands "
                f"for [-1, 1], and value_range is {source.value_range}"
            )
    elif not image.isfinite().all():
        raise UnusableImageError(f"{source.name(index)} has values that are not finite")
