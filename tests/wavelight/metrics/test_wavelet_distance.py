import warnings
from importlib.util import find_spec

import pytest
import torch
from PIL import Image

from tests.wavelight.metrics.toy import blotches, seeded
from wavelight.metrics import FrechetWaveletDistance, Gaussian, frechet_distance
from wavelight.metrics.wavelet_distance import haar_packets, packet_level

needs_pytorchfwd = pytest.mark.skipif(
    find_spec("pytorchfwd") is None, reason="compares with pytorchfwd 1.0.1, which is not installed"
)


def ours(real, generated, packet_side=4):
    metric = FrechetWaveletDistance(packet_side)
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return float(metric.compute())


@pytest.fixture
def reference(monkeypatch):
    """pytorchfwd, whose import makes float64 the default: undone after the test."""
    before = torch.get_default_dtype()
    import pytorchfwd.fwd

    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(pytorchfwd.fwd, "NUM_PROCESSES", 0)
    yield pytorchfwd.fwd
    torch.set_default_dtype(before)


def theirs(reference, real, generated, level):
    statistics = [
        reference.compute_packet_statistics([x.double() / 255], "Haar", level, False)
        for x in (real, generated)
    ]
    (mean1, covariance1), (mean2, covariance2) = statistics
    return reference._compute_avg_frechet_distance(mean1, mean2, covariance1, covariance2)


@needs_pytorchfwd
@pytest.mark.parametrize(("side", "level"), [(8, 1), (16, 2), (32, 3)])
def test_equals_pytorchfwd_on_noise_and_on_structure(reference, side, level):
    noise = torch.randint(0, 256, (90, 3, side, side), generator=seeded(0)).byte()
    smooth, rough = blotches(80, side, seed=1), blotches(90, side, seed=2, noise=40)
    for real, generated in ((smooth, rough), (smooth, noise)):
        assert ours(real, generated) == pytest.approx(
            theirs(reference, real, generated, level), rel=1e-9
        )


@needs_pytorchfwd
def test_equals_pytorchfwd_where_covariances_are_singular(reference):
    real, generated = blotches(30, 8, seed=1), blotches(20, 8, seed=2, noise=40)
    with pytest.warns(UserWarning, match="singular"):
        distance = ours(real, generated)
    assert distance == pytest.approx(theirs(reference, real, generated, 1), rel=1e-6)


@needs_pytorchfwd
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_pytorchfwd_from_files_to_number(reference, tmp_path, channels):
    sets = {
        "real": blotches(60, 8, channels, seed=1),
        "generated": blotches(60, 8, channels, seed=2, noise=60),
    }
    for name, images in sets.items():
        (tmp_path / name).mkdir()
        for number, image in enumerate(images):
            pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
            Image.fromarray(pixels).save(tmp_path / name / f"{number:03d}.png")
    folders = [str(tmp_path / name) for name in sets]
    expected = reference.compute_fwd(folders, "Haar", 1, False, 32, None)
    # Three equal colours make their covariances singular, which costs pytorchfwd some digits.
    assert ours(sets["real"], sets["generated"]) == pytest.approx(
        expected, rel=1e-9 if channels == 3 else 1e-6
    )


@needs_pytorchfwd
@pytest.mark.slow
def test_equals_pytorchfwd_at_the_published_packet_side(reference):
    real, generated = blotches(900, 32, seed=1), blotches(1000, 32, seed=2, noise=30)
    assert ours(real, generated, 16) == pytest.approx(
        theirs(reference, real, generated, 1), rel=1e-9
    )


def test_a_number_of_pytorchfwd():
    """Of pytorchfwd 1.0.1, with Haar, max_level 1, float64: so the conventions hold without it."""
    n, c, i, j = torch.meshgrid(*map(torch.arange, (40, 3, 4, 4)), indexing="ij")
    images = ((7 * n * n + 11 * n * c + 13 * n * i + 5 * j * j + 3 * i * j) % 256).byte()
    assert ours(images, 255 - images // 2, packet_side=2) == pytest.approx(
        1.1773252753196133, rel=1e-9
    )


def test_without_a_split_it_is_the_distance_of_pixels():
    real, generated = blotches(60, 4, seed=1), blotches(60, 4, seed=2, noise=40)
    pixels = [images.flatten(1).double() / 255 for images in (real, generated)]
    expected = frechet_distance(*(Gaussian(x.mean(0), x.T.cov()) for x in pixels))
    assert ours(real, generated) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_packets_hold_every_pixel_once(level):
    images = torch.randn(5, 3, 16, 16, generator=seeded(0), dtype=torch.float64)
    packets = haar_packets(images, level)
    assert packets.shape == (4**level, 5, 3 * (16 // 2**level) ** 2)
    torch.testing.assert_close(packets.square().sum((0, 2)), images.square().sum((1, 2, 3)))


def test_every_band_is_split_again():
    # The finest checkerboard is all in one packet at any level, of constant size: HH of HH of ...
    # never splits into LL.
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    packets = haar_packets(board.expand(1, 1, -1, -1), 2)
    energy = packets.square().sum((1, 2))
    assert energy.max() == energy.sum() == 256


@pytest.mark.parametrize(("side", "level"), [(16, 0), (32, 1), (64, 2), (256, 4), (1024, 6)])
def test_packets_stay_of_one_side(side, level):
    assert packet_level(torch.empty(0, 3, side, side), 16) == level


@pytest.mark.parametrize("shape", [(8, 8), (24, 24), (32, 16), (100, 100)])
def test_images_that_have_no_packets_are_an_error(shape):
    with pytest.raises(ValueError, match=f"square images of 16 .*, got {shape[0]}x{shape[1]}"):
        packet_level(torch.empty(0, 3, *shape), 16)


def test_floats_and_mixed_sizes_are_errors():
    metric = FrechetWaveletDistance(4)
    with pytest.raises(ValueError, match="uint8"):
        metric.update(torch.rand(4, 3, 8, 8), real=True)
    metric.update(blotches(4, 8), real=True)
    with pytest.raises(ValueError, match="one size"):
        metric.update(blotches(4, 16), real=True)


def test_too_few_images_are_an_error():
    metric = FrechetWaveletDistance(4)
    with pytest.raises(
        ValueError,
        match="FrechetWaveletDistance needs at least 2 real and 2 generated images, got 0 and 0",
    ):
        metric.compute()
    metric.update(blotches(4), real=True)
    metric.update(blotches(1), real=False)
    with pytest.raises(
        ValueError,
        match="FrechetWaveletDistance needs at least 2 real and 2 generated images, got 4 and 1",
    ):
        metric.compute()


def test_warns_once_below_a_packets_dimension_and_not_above():
    few, many = FrechetWaveletDistance(4), FrechetWaveletDistance(4)
    for metric, count in ((few, 48), (many, 49)):
        metric.update(blotches(49, seed=1), real=True)
        metric.update(blotches(count, seed=2), real=False)
    with pytest.warns(UserWarning, match="48 generated and 49 real images"):
        few.compute()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few.compute()
        many.compute()


def test_batches_in_any_order_give_the_same_bits():
    real, generated = blotches(60, seed=1), blotches(60, seed=2)
    metric = FrechetWaveletDistance(4)
    for part in reversed(generated.split(7)):
        metric.update(part, real=False)
    for part in real.split(11):
        metric.update(part, real=True)
    assert float(metric.compute()) == ours(real, generated)


def test_real_statistics_come_back_and_drawn_images_are_forgotten():
    real, generated, others = (
        blotches(60, seed=1),
        blotches(60, seed=2),
        blotches(60, seed=3, noise=50),
    )
    first = FrechetWaveletDistance(4)
    first.update(real, real=True)
    second = FrechetWaveletDistance(4)
    second.load_real_statistics(first.real_statistics())
    for images in (generated, others):
        second.update(images, real=False)
        assert second.values() == {"fwd": torch.tensor(ours(real, images), dtype=torch.float64)}
        second.forget_generated()
    second.reset()
    with pytest.raises(
        ValueError,
        match="FrechetWaveletDistance needs at least 2 real and 2 generated images, got 0 and 0",
    ):
        second.compute()


def test_autocast_changes_nothing():
    real, generated = blotches(60, seed=1), blotches(60, seed=2)
    with torch.autocast("cpu", torch.bfloat16):
        inside = ours(real, generated)
    assert inside == ours(real, generated)


def test_nothing_is_kept_in_a_state_dict():
    metric = FrechetWaveletDistance(4)
    metric.update(blotches(4), real=True)
    assert metric.state_dict() == {}
