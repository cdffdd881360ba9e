import subprocess
import sys

import pytest
import torch

from wavelight.wavelets import BandOrder, _analysis_module, dwt2, filter_length, idwt2

ORTHOGONAL = ["haar", "db2", "db4", "sym5", "coif1"]
BIORTHOGONAL = ["bior2.2", "bior4.4"]


def images(side=32, channels=3, width=None):
    return torch.randn(2, channels, side, width or side, generator=torch.Generator().manual_seed(0))


def test_haar_bands_of_a_block_are_those_of_the_specification():
    a, b, c, d = 1.0, 2.0, 5.0, 11.0
    coarse, details = dwt2(torch.tensor([[[[a, b], [c, d]]]]))
    assert coarse.item() == (a + b + c + d) / 2
    lh, hl, hh = details.flatten().tolist()
    assert lh == (a + b - c - d) / 2
    assert hl == (a - b + c - d) / 2
    assert hh == (a - b - c + d) / 2


def test_fast_haar_equals_pytorch_wavelets():
    image = images()
    coarse, details = dwt2(image)
    theirs, (bands,) = _analysis_module("haar", torch.device("cpu"))(image)
    torch.testing.assert_close(coarse, theirs, atol=1e-6, rtol=0)
    torch.testing.assert_close(details, bands.transpose(1, 2).flatten(1, 2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("wavelet", ORTHOGONAL + BIORTHOGONAL)
@pytest.mark.parametrize("width", [32, 48])
def test_synthesis_inverts_analysis(wavelet, width):
    image = images(32, 5, width)
    coarse, details = dwt2(image, wavelet)
    assert coarse.shape == (2, 5, 16, width // 2)
    assert details.shape == (2, 15, 16, width // 2)
    torch.testing.assert_close(idwt2(coarse, details, wavelet), image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("wavelet", ORTHOGONAL)
def test_orthogonal_wavelets_keep_the_energy(wavelet):
    image = images()
    energy = sum(band.square().sum() for band in dwt2(image, wavelet))
    torch.testing.assert_close(energy, image.square().sum(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("wavelet", ["haar", "db4"])
def test_synthesis_is_the_transpose_of_analysis(wavelet):
    image, coarse, details = images(), images(16), images(16, 9)
    forward = dwt2(image, wavelet)
    left = (forward[0] * coarse).sum() + (forward[1] * details).sum()
    torch.testing.assert_close(
        left, (image * idwt2(coarse, details, wavelet)).sum(), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("wavelet", ["haar", "db3"])
def test_gradients_are_exact(wavelet):
    image = images(8, 1).double().requires_grad_()
    (coarse, details), weights = dwt2(image, wavelet), images(4, 4)
    loss = (coarse * weights[:, :1]).sum() + (details * weights[:, 1:]).sum()
    (gradient,) = torch.autograd.grad(loss, image)
    expected = idwt2(weights[:, :1], weights[:, 1:], wavelet)
    torch.testing.assert_close(gradient.float(), expected, atol=1e-5, rtol=0)


def test_transform_is_exact_under_autocast():
    image = images()
    with torch.autocast("cpu", torch.bfloat16):
        coarse, details = dwt2(image, "db4")
        again = idwt2(coarse, details, "db4")
    torch.testing.assert_close(again, image, atol=1e-5, rtol=0)


def test_band_orders_exchange_the_mixed_bands():
    details = torch.arange(3.0).repeat_interleave(2).reshape(1, 6, 1, 1)
    assert BandOrder.PYTORCH_WAVELETS.arrange(details) is details
    swapped = BandOrder.WAVECNET.arrange(details)
    assert swapped.flatten().tolist() == [1, 1, 0, 0, 2, 2]
    assert torch.equal(BandOrder.WAVECNET.arrange(swapped), details)


def test_odd_sides_are_refused():
    with pytest.raises(ValueError, match="33x32 has an odd side"):
        dwt2(images(33, 1, 32))


def test_sides_shorter_than_the_filter_are_refused():
    with pytest.raises(ValueError, match="'db4' has 8 taps"):
        dwt2(images(4), "db4")
    with pytest.raises(ValueError, match="'db4' has 8 taps"):
        idwt2(images(2), images(2, 9), "db4")


def test_bands_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="do not go with"):
        idwt2(images(16), images(16, 8))


def test_unknown_wavelets_are_named():
    with pytest.raises(ValueError, match="no wavelet is called 'sine'"):
        filter_length("sine")


def test_haar_needs_neither_library():
    code = (
        "import sys, torch; from wavelight.wavelets import dwt2; dwt2(torch.zeros(1, 1, 2, 2));"
        "assert not {'pywt', 'pytorch_wavelets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_stand_in_leaves_no_trace():
    dwt2(images(), "db2")
    assert "pkg_resources" not in sys.modules or hasattr(
        sys.modules["pkg_resources"], "working_set"
    )
