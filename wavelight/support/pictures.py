"""Images as pictures that people look at: grey, coloured or in false colours; grids of them, and PNG files."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from wavelight.support.files import draft_of

PNG_CHANNELS = (1, 3)
"""Grey and RGB."""

_SHOWN = 0.995
_GAP = 2
"""Pixels between the images of a grid."""
_FALSE_COLOURS = (
    (5, 48, 97),
    (33, 102, 172),
    (67, 147, 195),
    (146, 197, 222),
    (209, 229, 240),
    (247, 247, 247),
    (253, 219, 199),
    (244, 165, 130),
    (214, 96, 77),
    (178, 24, 43),
    (103, 0, 31),
)
"""RdBu of ColorBrewer (Brewer 2003), from blue by white to red; lightness falls evenly to both ends."""


def picture_of_pixels(images: Tensor) -> Tensor:
    """Show pixels as what they are, grey or coloured; other numbers of channels in grey, one below the other.

    Args:
        images: ``(N, C, H, W)`` in [-1, 1]; what lies outside is clamped.

    Returns:
        ``(N, C, H, W)`` uint8 for 1 or 3 channels, else ``(N, 1, C * H, W)``.
    """
    pixels = to_uint8(images)
    if pixels.shape[1] in PNG_CHANNELS:
        return pixels
    return _channels_below_each_other(pixels)


def picture_of_field(fields: Tensor) -> Tensor:
    """Show fields in false colours: -1 dark blue, 0 white, 1 dark red; channels one below the other.

    Fields have no bounds: divide them by :func:`field_limit` first. Grey levels would hide signs.

    Args:
        fields: ``(N, C, H, W)`` floats; what lies outside of [-1, 1] is clamped, and what is not a
            number is white.

    Returns:
        ``(N, 3, C * H, W)`` uint8.
    """
    values = _channels_below_each_other(fields.float()).nan_to_num(0, 1, -1).clamp(-1, 1)
    palette = torch.tensor(_FALSE_COLOURS, dtype=torch.float32, device=values.device)
    place = (values[:, 0] + 1) * (len(palette) - 1) / 2
    below = place.long().clamp(max=len(palette) - 2)
    share = (place - below).unsqueeze(-1)
    colours = torch.lerp(palette[below], palette[below + 1], share)
    return colours.round().byte().permute(0, 3, 1, 2)


def field_limit(fields: Tensor) -> float:
    """Return the magnitude that 99.5 % of all values do not exceed, at which pictures of them end.

    Args:
        fields: Floats of any shape, at least one.

    Returns:
        A positive number.
    """
    magnitudes = fields.float().abs().nan_to_num(0, 0, 0).flatten()
    # torch.quantile takes no more than 16 million values.
    limit = magnitudes.kthvalue(math.ceil(_SHOWN * len(magnitudes))).values
    return float(limit) or 1.0


def _channels_below_each_other(images: Tensor) -> Tensor:
    return images.flatten(1, 2).unsqueeze(1)


def grid(images: Tensor, scale: int = 1) -> Tensor:
    """Lay images side by side on white, in a square as far as their number allows.

    Args:
        images: ``(N, C, H, W)`` uint8, at least one.
        scale: How many pixels a side each pixel becomes.

    Returns:
        ``(C, height, width)`` uint8.
    """
    from torchvision.utils import make_grid

    images = images.repeat_interleave(scale, -1).repeat_interleave(scale, -2).cpu()
    if len(images) == 1:  # which torchvision would leave without the margin that is cut below
        return images[0]
    columns = math.ceil(math.sqrt(len(images)))
    framed = make_grid(images, nrow=columns, padding=_GAP, pad_value=255)
    # It makes three channels of a grey one, and puts a margin around all.
    return framed[: images.shape[1], _GAP:-_GAP, _GAP:-_GAP]


def write_png(path: Path, image: Tensor, texts: Mapping[str, str] | None = None) -> None:
    """Write one picture, under a temporary name first.

    Args:
        path: The file.
        image: ``(C, H, W)`` uint8 of 1 or 3 channels.
        texts: Texts that the file holds beside its pixels, by keyword.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    array = image[0].numpy() if image.shape[0] == 1 else image.permute(1, 2, 0).numpy()
    info = PngInfo()
    for keyword, text in (texts or {}).items():
        info.add_text(keyword, text)
    with draft_of(path) as draft:
        Image.fromarray(array).save(draft, format="PNG", pnginfo=info)


def to_uint8(images: Tensor, value_range: tuple[float, float] = (-1.0, 1.0)) -> Tensor:
    """Round images to bytes, clamping what lies outside of the range.

    Not torchmetrics' ``normalize=True``, which truncates, and wraps 1.01 round to 1.

    Args:
        images: Floats of ``value_range``, any shape and precision; bytes are returned as they are.
        value_range: The values of black and of white.
    """
    if images.dtype == torch.uint8:
        return images
    low, high = value_range
    return images.float().sub(low).mul(255 / (high - low)).round().clamp(0, 255).byte()
