"""The real images that true bands are taken from, which no training saw."""

import torch
from torch import Tensor

from data_modules import WaveletDataModule
from data_modules.batches import to_float

_BANDS = 256


def held_out_counts(
    data: WaveletDataModule, images: int | None, bands: int | None
) -> tuple[int, int]:
    """Return how many held-out images each table takes.

    Args:
        data: The data module that has the held-out split.
        images: How many to sample images from; none takes all.
        bands: How many to take LL bands from; none takes 256, or all.

    Raises:
        ValueError: If there are not as many.
    """
    there = data.held_out_images
    if there < 2:
        raise ValueError(
            "the held-out split must have at least 2 images (true LL bands come from images "
            f"unseen in training), got {there}: train with --data.held_out, or with shards that "
            "were prepared with held_out"
        )
    for name, number in {"images": images, "bands": bands}.items():
        if number is not None and number > there:
            raise ValueError(
                f"{name} must be at most the {there} images of the held-out split, got {number}"
            )
    return images or there, bands or min(_BANDS, there)


def held_out_images(data: WaveletDataModule, count: int) -> Tensor:
    """Return real images ``(count, C, H, W)``, bytes of pictures: floats of all would be four times as much."""
    return torch.cat([batch["image"] for batch in data.held_out_dataloader(count)])


def floats(images: Tensor, device: torch.device) -> Tensor:
    """Return images as systems know them, floats in [-1, 1] where their range is bounded, on a device."""
    return to_float({"image": images.to(device)})["image"]
