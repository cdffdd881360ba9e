import pytest
import torch
from torch.nn import functional

from tests.ssim import ssim_by_skimage
from wavelight.losses.reconstruction import dissimilarity


def images(seed, side=16):
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_equal_images_are_not_dissimilar():
    assert dissimilarity(images(0), images(0)).item() == pytest.approx(0, abs=1e-6)


def test_flat_images_differ_by_their_means_alone():
    """SSIM of constants a and b is (2ab + C1) / (a^2 + b^2 + C1)."""
    a, b = 0.2, 0.6
    expected = 1 - (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)
    flat = torch.ones(1, 3, 16, 16)
    assert dissimilarity(a * flat, b * flat).item() == pytest.approx(expected, abs=1e-4)


def test_it_is_that_of_the_paper():
    """Moments around every pixel, weighed by a Gaussian of standard deviation 1.5."""
    x, y = images(1), images(2)
    line = torch.exp(-(torch.arange(-5.0, 6.0) ** 2) / (2 * 1.5**2))
    window = (line[:, None] * line / line.sum() ** 2).expand(3, 1, 11, 11)

    def mean(z):
        return functional.conv2d(functional.pad(z, [5] * 4, mode="reflect"), window, groups=3)

    mu_x, mu_y = mean(x), mean(y)
    var_x, var_y, both = mean(x * x) - mu_x**2, mean(y * y) - mu_y**2, mean(x * y) - mu_x * mu_y
    ssim = (2 * mu_x * mu_y + 1e-4) * (2 * both + 9e-4)
    ssim = ssim / ((mu_x**2 + mu_y**2 + 1e-4) * (var_x + var_y + 9e-4))
    torch.testing.assert_close(dissimilarity(x, y), 1 - ssim.mean(), atol=1e-5, rtol=0)


def test_it_is_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        mixed = dissimilarity(images(0), images(1))
    assert torch.equal(mixed, dissimilarity(images(0), images(1)))


def test_it_is_that_of_scikit_image():
    x, y = images(3, side=24), images(4, side=24)
    for other in (y, (x + 0.1 * y).clamp(0, 1)):
        expected = 1 - ssim_by_skimage(other, x)
        assert dissimilarity(other, x).item() == pytest.approx(expected, abs=1e-5)
