"""SSIM by scikit-image, the reference for ours."""

from statistics import fmean

import numpy as np
from skimage.metrics import structural_similarity
from torch import Tensor

_MARGIN = 5


def ssim_by_skimage(one: Tensor, other: Tensor) -> float:
    """Return the mean SSIM of images ``(N, C, H, W)`` in [0, 1] that continue by reflection.

    scikit-image leaves out windows that reach over the edge: here over that of the reflection.
    """
    around = ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))
    return fmean(
        structural_similarity(
            *(np.pad(image.double().numpy(), around, mode="reflect") for image in pair),
            win_size=2 * _MARGIN + 1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            channel_axis=0,
        )
        for pair in zip(one, other, strict=True)
    )
