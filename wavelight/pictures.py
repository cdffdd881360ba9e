"""Grids of images, and PNG files."""

import math
from pathlib import Path

import torch
from torch import Tensor


def grid(images: Tensor, scale: int = 1, columns: int | None = None, gap: int = 2) -> Tensor:
    """Lay images side by side on white.

    Args:
        images: ``(N, C, H, W)`` uint8.
        scale: How many pixels a side each pixel becomes.
        columns: Images a row; none makes the grid square.
        gap: Pixels between images.

    Returns:
        ``(C, height, width)`` uint8.
    """
    images = images.repeat_interleave(scale, -1).repeat_interleave(scale, -2).cpu()
    number, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(number))
    rows = -(-number // columns)
    canvas = torch.full(
        (channels, rows * (height + gap) - gap, columns * (width + gap) - gap),
        255,
        dtype=torch.uint8,
    )
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        canvas[:, top : top + height, left : left + width] = image
    return canvas


def write_png(path: Path, image: Tensor) -> None:
    """Write one picture ``(C, H, W)`` uint8 of 1 or 3 channels, under a temporary name first."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    array = image[0].numpy() if image.shape[0] == 1 else image.permute(1, 2, 0).numpy()
    Image.fromarray(array).save(temporary, format="PNG")
    temporary.replace(path)
