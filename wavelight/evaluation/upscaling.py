"""The quality of upscaled images, beside bicubic ones."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from data_modules import WaveletDataModule
from data_modules.batches import to_float
from data_modules.source import Source
from wavelight.checkpoints.configuration import stored_config
from wavelight.checkpoints.data import build_data, data_options
from wavelight.factorizations.pyramids import LevelByLevel
from wavelight.metrics import FrechetWaveletDistance
from wavelight.sampling.upscaler import Upscaler
from wavelight.support.pictures import to_uint8

_RANGE = (-1.0, 1.0)


LEGEND = (
    "psnr (dB) and ssim: means over images. fwd: against the same true images.",
    "bicubic: torch's interpolate with antialias off (cubic of a = -0.75), and on (a = -0.5, as Pillow's; enlarging "
    "has nothing else to filter).",
)


Enlarge = Callable[[Tensor, Tensor], Tensor]
"""Makes large images of small ones, given the numbers of the images."""


class Quality(NamedTuple):
    """How close enlarged images come to the true ones."""

    psnr: float
    """Mean over images of the peak signal-to-noise ratio, dB."""

    ssim: float
    """Mean over images of the structural similarity (Wang et al., 2004: 11x11 Gaussian window)."""

    fwd: float
    """Fréchet wavelet distance between the two sets of images."""


def smaller(images: Tensor, pyramid: LevelByLevel, halvings: int) -> Tensor:
    """Return LL bands in the range of pixels: for Haar the mean of each block.

    Args:
        images: ``(N, C, H, W)``.
        pyramid: The pyramid that splits them.
        halvings: How often the sides are halved.

    Returns:
        ``(N, C, H / 2 ** halvings, W / 2 ** halvings)``.
    """
    for _ in range(halvings):
        # LL grows by 2 with every level.
        images = pyramid.split(images)[0] / 2
    return images


def measure_upscaling(
    large: Tensor, true: Tensor, batch_size: int = 64, packet_side: int = 16
) -> Quality:
    """Compare enlarged images with the true ones.

    Args:
        large: ``(N, C, H, H)`` in [-1, 1].
        true: The same.
        batch_size: How many are compared at once, which changes nothing else.
        packet_side: See :class:`wavelight.metrics.FrechetWaveletDistance`.
    """
    distance = FrechetWaveletDistance(packet_side)
    psnr = ssim = 0.0
    for some, reference in zip(large.split(batch_size), true.split(batch_size), strict=True):
        psnr += float(
            peak_signal_noise_ratio(
                some, reference, data_range=_RANGE, reduction="none", dim=(1, 2, 3)
            ).sum()
        )
        ssim += float(
            torch.as_tensor(
                structural_similarity_index_measure(
                    _brightness(some), _brightness(reference), data_range=1.0, reduction="none"
                )
            ).sum()
        )
        distance.update(to_uint8(some), real=False)
        distance.update(to_uint8(reference), real=True)
    return Quality(psnr / len(true), ssim / len(true), float(distance.compute()))


def _brightness(images: Tensor) -> Tensor:
    """Bring images to [0, 1] in float64: SSIM compares means, and in float32 flat areas lose 0.0005."""
    low, high = _RANGE
    return (images.double().clamp(low, high) - low) / (high - low)


def ways_to_enlarge(upscaler: Upscaler) -> dict[str, Enlarge]:
    """Return the ways to enlarge that are compared, as often as the upscaler doubles."""
    pyramid, times = upscaler.pyramid, 2**upscaler.doublings
    channels = upscaler.system.target_shapes[-1][0]

    def bicubic(small: Tensor, antialias: bool) -> Tensor:
        large = functional.interpolate(
            small, scale_factor=times, mode="bicubic", antialias=antialias
        )
        return large.clamp(*_RANGE)

    def without_details(small: Tensor, index: Tensor) -> Tensor:
        for _ in range(upscaler.doublings):
            given = pyramid.given(2 * small)
            details = given.new_zeros(len(given), channels, *given.shape[2:])
            small = pyramid.merge(given, details)
        return small.clamp(*_RANGE)

    return {
        type(upscaler.system).__name__: upscaler,
        "bicubic": lambda small, index: bicubic(small, antialias=False),
        "bicubic, antialias": lambda small, index: bicubic(small, antialias=True),
        "no details": without_details,
    }


def enlarged(small: Tensor, enlarge: Enlarge, batch_size: int) -> Tensor:
    """Enlarge images in batches."""
    index = torch.arange(len(small))
    parts = zip(small.split(batch_size), index.split(batch_size), strict=True)
    return torch.cat([enlarge(*part).cpu() for part in parts])


def cells(sides: str, name: str, quality: Quality) -> dict[str, str]:
    """Return a row of the table."""
    return {
        "pixels": sides,
        "enlarged by": name,
        "psnr": f"{quality.psnr:.2f}",
        "ssim": f"{quality.ssim:.4f}",
        "fwd": f"{quality.fwd:.4g}",
    }


def true_images(data: WaveletDataModule, images: int) -> tuple[str, Tensor]:
    """Return what the images are, in words, and the images ``(N, C, H, W)`` in [-1, 1]."""
    if data.held_out_images:
        count = min(images, data.held_out_images)
        return "held-out images", _first(data.held_out_dataloader(count), count)
    return (
        "images (no held-out ones)",
        _first(data.reference_dataloader(images), images),
    )


def _first(batches: Iterable[dict[str, Tensor]], count: int) -> Tensor:
    return torch.cat([to_float(batch)["image"] for batch in batches])[:count]


def data_of_checkpoint(
    checkpoint: Path, source: Source | None, image_size: int, batch_size: int, trust_code: bool
) -> WaveletDataModule:
    """Return the data that a checkpoint's system was trained on, or those of another source."""
    if source is not None:
        data = WaveletDataModule(
            source, image_size, batch_size, num_workers=0, eval_batch_size=batch_size
        )
        data.prepare_data()
        return data
    changes = {"image_size": image_size, "eval_batch_size": batch_size}
    return build_data(data_options(checkpoint, stored_config(checkpoint), changes, trust_code))
