"""How far images are from those that they should be."""

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

SMALLEST_SIDE = 6
"""Smallest side of images that continue by reflection under half of SSIM's window of 11."""


def dissimilarity(predicted: Tensor, true: Tensor) -> Tensor:
    """Return 1 - SSIM, with an 11x11 Gaussian window, C1 = 0.01^2 and C2 = 0.03^2 (Wang et al., 2004).

    The window, of standard deviation 1.5, is put around every pixel; images continue by reflection.
    As in the hybrid's equation 17 it is SSIM of (x + 1) / 2, of x in [-1, 1]. There, the published
    code has x in [0, 1], and at coarse levels beyond, so that it sees half the contrast at the
    finest level and leaves the range of 1 at others; here, images fill the range at every level.

    Args:
        predicted: ``(N, C, H, W)`` in [0, 1], to rounding and to what a network samples.
        true: ``(N, C, H, W)`` in [0, 1].

    Returns:
        The mean over the batch, 0 for equal images, in float32 also under autocast.
    """
    with torch.autocast(true.device.type, enabled=False):
        similarity = structural_similarity_index_measure(
            predicted.float(), true.float(), sigma=1.5, kernel_size=11, data_range=1.0
        )
    assert isinstance(similarity, Tensor)
    return 1 - similarity
