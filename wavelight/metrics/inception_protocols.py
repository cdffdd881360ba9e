"""The ways from images to Inception's input, by which published FIDs differ."""

import io
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from wavelight.support.errors import OptionError

INPUT_SIDE = 299


class InceptionProtocol(ABC):
    """What happens to images in front of Inception, and the name of the FID that is so measured.

    Attributes:
        distance: Name of the Fréchet distance in logs.
    """

    distance: str

    @property
    @abstractmethod
    def identity(self) -> str:
        """The protocol in words: part of the identity of the metric."""

    def pictures(self, images: Tensor, real: bool) -> Tensor:
        """Return images as they are looked at, ``(N, 3, H, W)`` uint8 as they are given.

        Args:
            images: ``(N, 3, H, W)`` uint8.
            real: Whether they are real, or generated.
        """
        return images

    @abstractmethod
    def resize(self, images: Tensor) -> Tensor:
        """Return Inception's input, ``(N, 3, 299, 299)`` float32 about [-1, 1], of ``(N, 3, H, W)`` uint8 images."""


class TensorFlowProtocol(InceptionProtocol):
    """TensorFlow 1's resize of images as they are, as the FID's authors, EDM and torch-fidelity have it."""

    distance = "fid"

    @property
    @override
    def identity(self) -> str:
        return "TensorFlow 1's resize"

    @override
    def resize(self, images: Tensor) -> Tensor:
        from torch_fidelity.interpolate_compat_tensorflow import (
            interpolate_bilinear_2d_like_tensorflow1x,
        )

        large = interpolate_bilinear_2d_like_tensorflow1x(
            images.float(), size=(INPUT_SIDE, INPUT_SIDE), align_corners=False
        )
        return (large - 128) / 128


class PublishedProtocol(InceptionProtocol):
    """The protocol of the numbers that WaveDiff and DDGAN published, for comparison with them alone.

    Generated images are compressed to JPEG, and pytorch-fid resizes what is left of them: bilinear, without
    antialiasing, centres of pixels aligned. Real images go the same way, half of them mirrored, as the authors
    measured a training set in passing. Which are mirrored is decided by the bytes of the image, and so the same on any
    number of processes. The FID goes by the name of ``fid_published``.

    Args:
        jpeg_quality: Quality of JPEG, with colours at half the resolution; 75 is the published choice. None leaves
            images as they are, which is plain pytorch-fid.
        mirror: Whether half of the real images are mirrored; false for data that training does not mirror.
    """

    distance = "fid_published"

    def __init__(self, jpeg_quality: int | None = 75, mirror: bool = True) -> None:
        if jpeg_quality is not None and not 1 <= jpeg_quality <= 95:
            raise OptionError(
                f"jpeg_quality must be from 1 to 95, got {jpeg_quality}; 75 is the published one, null leaves JPEG out"
            )
        self.jpeg_quality = jpeg_quality
        self.mirror = mirror

    @property
    @override
    def identity(self) -> str:
        jpeg = "no JPEG" if self.jpeg_quality is None else f"JPEG of quality {self.jpeg_quality}"
        mirrored = "half of the real images mirrored" if self.mirror else "none mirrored"
        return f"pytorch-fid's resize, {jpeg}, {mirrored}"

    @override
    def pictures(self, images: Tensor, real: bool) -> Tensor:
        if real and self.mirror:
            images = half_mirrored(images)
        return images if self.jpeg_quality is None else through_jpeg(images, self.jpeg_quality)

    @override
    def resize(self, images: Tensor) -> Tensor:
        large = functional.interpolate(
            images.float() / 255, (INPUT_SIDE, INPUT_SIDE), mode="bilinear", align_corners=False
        )
        return 2 * large - 1


def half_mirrored(images: Tensor) -> Tensor:
    """Mirror from left to right those of ``(N, C, H, W)`` uint8 images whose bytes have an odd sum."""
    odd = images.sum((1, 2, 3), dtype=torch.long) % 2 == 1
    return torch.where(odd[:, None, None, None], images.flip(-1), images)


def through_jpeg(images: Tensor, quality: int) -> Tensor:
    """Return ``(N, 3, H, W)`` uint8 images as Pillow's JPEG files show them, colours at half the resolution (4:2:0)."""
    shown = [_through_jpeg(image, quality) for image in images.permute(0, 2, 3, 1).cpu().numpy()]
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).to(images.device)


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=quality)
    with Image.open(file) as shown:
        return np.asarray(shown)
