"""The quality of enlarged images, against another implementation's."""

import pytest
import torch

from tests.ssim import ssim_by_skimage
from wavelight.evaluation.upscaling import measure_upscaling


def test_nearly_equal_greys_are_nearly_alike():
    """Where SSIM of images in [-1, 1] would be negative: their means are 0.02 and -0.01."""
    grey = torch.ones(2, 3, 32, 32) * 2 / 255
    quality = measure_upscaling(130 * grey - 1, 126 * grey - 1)
    a, b = 130 / 255, 126 / 255
    assert quality.ssim == pytest.approx((2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4), abs=1e-6)
    assert quality.ssim == pytest.approx(
        ssim_by_skimage(130 / 2 * grey[:1], 126 / 2 * grey[:1]), abs=1e-6
    )
    assert quality.psnr == pytest.approx(36.09, abs=0.01)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_scikit_image(channels):
    true = torch.rand(3, channels, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    large = (
        true + 0.2 * torch.randn(true.shape, generator=torch.Generator().manual_seed(1))
    ).clamp(-1, 1)
    expected = ssim_by_skimage((large + 1) / 2, (true + 1) / 2)
    assert measure_upscaling(large, true, batch_size=2).ssim == pytest.approx(expected, abs=1e-5)


def test_psnr_is_that_of_scikit_image():
    from skimage.metrics import peak_signal_noise_ratio

    random = torch.Generator().manual_seed(2)
    true, large = torch.rand(2, 3, 3, 32, 32, generator=random) * 2 - 1
    expected = [
        peak_signal_noise_ratio(one.numpy(), other.numpy(), data_range=2)
        for one, other in zip(true, large, strict=True)
    ]
    assert measure_upscaling(large, true).psnr == pytest.approx(sum(expected) / 3, abs=1e-4)
