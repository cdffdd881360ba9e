"""Orthonormal wavelet transforms of images: a fast Haar path, and pytorch-wavelets for every other wavelet."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import cache
from importlib import import_module, resources
from types import ModuleType
from typing import IO, NamedTuple

import torch
from torch import Tensor, nn

DETAIL_BANDS = 3

Split = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Halves images once: ``(N, C, H, W)`` to LL ``(N, C, H/2, W/2)`` and details, of any shape."""


class BandOrder(Enum):
    """The order of the detail bands of one level, as the libraries that the published models used have it.

    A value lists, for each position, the band of :func:`dwt2` that stands there. The two orders
    differ in which of the mixed bands comes first; signs are equal, and LL is always first and HH
    always last.
    """

    PYTORCH_WAVELETS = (0, 1, 2)
    """LH (high along the height) before HL, as pytorch-wavelets, PyWavelets and :func:`dwt2` have them."""

    WAVECNET = (1, 0, 2)
    """HL (high along the width) before LH, as the transform of WaveCNet has them."""

    def arrange(self, details: Tensor) -> Tensor:
        """Put details from the order of :func:`dwt2` into this one; each order is its own inverse.

        Args:
            details: ``(N, 3C, H, W)``.
        """
        if self is BandOrder.PYTORCH_WAVELETS:
            return details
        bands = details.chunk(DETAIL_BANDS, dim=1)
        return torch.cat([bands[band] for band in self.value], dim=1)


class BandStatistics(NamedTuple):
    """Statistics of a data set's bands, one entry a channel: the numbers that band scalings are made of."""

    mean: Tensor
    std: Tensor
    peak: Tensor
    """The largest magnitude that was seen."""

    covariance: Tensor
    """Of the channels at a position, ``(C, C)``."""


class LevelStatistics(NamedTuple):
    """Statistics of one level of a pyramid: its LL ``(C,)``, and its details, ``(3C,)`` of a wavelet."""

    coarse: BandStatistics
    details: BandStatistics


def dwt2(image: Tensor, wavelet: str = "haar") -> tuple[Tensor, Tensor]:
    """Split images into LL and detail bands at half the resolution, orthonormally.

    For a block ``(a b; c d)`` the Haar bands are LL = (a+b+c+d)/2, LH = (a+b-c-d)/2, HL =
    (a-b+c-d)/2 and HH = (a-b-c+d)/2. Other wavelets continue the image periodically, which keeps
    the transform orthonormal (for an orthogonal wavelet) and the bands at exactly half the
    resolution; they run in float32.

    Args:
        image: ``(N, C, H, W)``, even ``H`` and ``W``.
        wavelet: A name that PyWavelets knows: ``haar``, ``db4``, ``sym5``, ``bior4.4``, ...

    Returns:
        LL ``(N, C, H/2, W/2)``, and LH, HL, HH concatenated on channels, ``(N, 3C, H/2, W/2)``.

    Raises:
        ValueError: If a side is odd, or shorter than the wavelet's filter.
    """
    height, width = image.shape[-2:]
    if height % 2 or width % 2:
        raise ValueError(
            "the sides of an image must be even (a wavelet level halves them), got "
            f"{height}x{width}"
        )
    if wavelet == "haar":
        coarse, *details = haar_split(image)
        return coarse, torch.cat(details, dim=1)
    _check_side(min(height, width), wavelet)
    transform = _analysis_module(wavelet, image.device)
    with torch.autocast(image.device.type, enabled=False):
        coarse, (details,) = transform(image.float())
    return coarse, details.transpose(1, 2).flatten(1, 2)


def idwt2(coarse: Tensor, details: Tensor, wavelet: str = "haar") -> Tensor:
    """Build images from the bands of :func:`dwt2`; its inverse, and for an orthogonal wavelet its transpose.

    Args:
        coarse: LL, ``(N, C, H, W)``.
        details: LH, HL, HH concatenated on channels, ``(N, 3C, H, W)``.
        wavelet: The wavelet of the analysis.

    Returns:
        ``(N, C, 2H, 2W)``.

    Raises:
        ValueError: If the shapes do not belong together, or a side is shorter than the wavelet's
            filter.
    """
    batch, channels, height, width = coarse.shape
    if details.shape != (batch, DETAIL_BANDS * channels, height, width):
        raise ValueError(
            f"details of shape {tuple(details.shape)} do not fit an LL of shape "
            f"{tuple(coarse.shape)}"
        )
    if wavelet == "haar":
        return haar_merge(coarse, *details.chunk(DETAIL_BANDS, dim=1))
    _check_side(2 * min(height, width), wavelet)
    transform = _synthesis_module(wavelet, coarse.device)
    with torch.autocast(coarse.device.type, enabled=False):
        bands = details.float().unflatten(1, (DETAIL_BANDS, channels)).transpose(1, 2)
        return transform((coarse.float(), [bands]))


def filter_length(wavelet: str) -> int:
    """Return the number of taps of a wavelet's longest filter.

    Raises:
        ValueError: If PyWavelets knows no discrete wavelet of this name.
    """
    if wavelet == "haar":
        return 2
    import pywt

    if wavelet not in pywt.wavelist(kind="discrete"):
        raise ValueError(
            f"there is no wavelet {wavelet!r}: the families are haar, db, sym, coif, bior, "
            "rbio, dmey"
        )
    return pywt.Wavelet(wavelet).dec_len


def haar_split(x: Tensor, scale: float = 0.5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the Haar bands of one level apart, for those who would cut them apart again.

    Args:
        x: ``(N, C, H, W)``, even ``H`` and ``W``, in any memory layout.
        scale: Factor on the sums of four pixels: 1/2 makes the transform orthonormal,
            1/4 makes LL the mean.

    Returns:
        LL, LH, HL and HH, ``(N, C, H/2, W/2)`` each, in the layout of ``x``.
    """
    top_left, top_right = x[..., 0::2, 0::2], x[..., 0::2, 1::2]
    bottom_left, bottom_right = x[..., 1::2, 0::2], x[..., 1::2, 1::2]
    top, top_edge = top_left + top_right, top_left - top_right
    bottom, bottom_edge = bottom_left + bottom_right, bottom_left - bottom_right
    return (
        (top + bottom) * scale,
        (top - bottom) * scale,
        (top_edge + bottom_edge) * scale,
        (top_edge - bottom_edge) * scale,
    )


def haar_merge(ll: Tensor, lh: Tensor, hl: Tensor, hh: Tensor) -> Tensor:
    """Build ``(N, C, 2H, 2W)`` from the orthonormal bands of one level, in their memory layout.

    Args:
        ll: ``(N, C, H, W)``, as the other bands.
        lh: High along the height.
        hl: High along the width.
        hh: High along both.
    """
    top, bottom = ll + lh, ll - lh
    top_edge, bottom_edge = hl + hh, hl - hh
    quarters = (top + top_edge, top - top_edge, bottom + bottom_edge, bottom - bottom_edge)
    if ll.is_contiguous(memory_format=torch.channels_last) and not ll.is_contiguous():
        pixels = _interleave([quarter.permute(0, 2, 3, 1) for quarter in quarters], 1)
        return pixels.permute(0, 3, 1, 2) / 2
    return _interleave(quarters, 2) / 2


def _interleave(quarters: Sequence[Tensor], rows: int) -> Tensor:
    """Put top left, top right, bottom left and bottom right pixels in their places; rows are that dimension."""
    top_left, top_right, bottom_left, bottom_right = quarters
    columns = rows + 1
    top = torch.stack([top_left, top_right], columns + 1).flatten(columns, columns + 1)
    bottom = torch.stack([bottom_left, bottom_right], columns + 1).flatten(columns, columns + 1)
    return torch.stack([top, bottom], rows + 1).flatten(rows, rows + 1)


def _check_side(side: int, wavelet: str) -> None:
    # pytorch-wavelets returns wrong values in its periodic mode when the filter is longer than the
    # signal.
    taps = filter_length(wavelet)
    if side < taps:
        raise ValueError(
            f"the image side must be at least the {taps} taps of wavelet {wavelet!r}, got {side}"
        )


@cache
def _analysis_module(wavelet: str, device: torch.device) -> nn.Module:
    return _pytorch_wavelets().DWTForward(J=1, wave=wavelet, mode="periodization").to(device)


@cache
def _synthesis_module(wavelet: str, device: torch.device) -> nn.Module:
    return _pytorch_wavelets().DWTInverse(wave=wavelet, mode="periodization").to(device)


@cache
def _pytorch_wavelets() -> ModuleType:
    with _pkg_resources_stand_in():
        return import_module("pytorch_wavelets")


@contextmanager
def _pkg_resources_stand_in() -> Iterator[None]:
    """Give pytorch-wavelets 1.3.0 the one function of ``pkg_resources`` it uses, while it is imported.

    setuptools 82 dropped ``pkg_resources`` (pytorch_wavelets pull request 67 is open).
    """
    name = "pkg_resources"
    before = sys.modules.get(name)
    stand_in = ModuleType(name)
    vars(stand_in)["resource_stream"] = _open_resource
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before


def _open_resource(package: str, path: str) -> IO[bytes]:
    return resources.files(package).joinpath(path).open("rb")
