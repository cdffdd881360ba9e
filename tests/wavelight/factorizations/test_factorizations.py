import pytest
import torch

from wavelight.factorizations.base import Pixels
from wavelight.factorizations.pyramids import LaplacianPyramid, LevelByLevel, Pyramid
from wavelight.factorizations.scaling import Eigenbasis, Half, Peak, PerChannel, Scalar, Unscaled
from wavelight.factorizations.subbands import Subbands
from wavelight.wavelets import BandOrder, BandStatistics, LevelStatistics, dwt2

LAPLACIANS = [
    LaplacianPyramid(1),
    LaplacianPyramid(3, Scalar()),
    LaplacianPyramid(2, Half()),
    LaplacianPyramid(2, Peak()),
]


def images():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def statistics(levels, split):
    """Measure the bands of the images above."""
    coarse, found = images(), []
    for level in range(levels + 1):
        details = coarse  # pixels have none; anything does
        if level:
            coarse, details = split(coarse)
        found.append(LevelStatistics(measure(coarse), measure(details)))
    return found


def measure(band):
    values = band.transpose(0, 1).flatten(1)
    return BandStatistics(values.mean(1), values.std(1), values.abs().amax(1), values.cov())


FACTORIZATIONS = [
    Pixels(),
    Subbands(),
    Subbands(order=BandOrder.WAVECNET),
    Subbands("db2", scaling=PerChannel()),
    Subbands(levels=2),
    Subbands(levels=3),
    Subbands(order=BandOrder.WAVECNET, levels=2),
    Subbands("db2", scaling=Peak(), levels=2),
    Subbands("bior4.4", BandOrder.WAVECNET, Scalar(), levels=2),
    Pyramid(1),
    Pyramid(3, scaling=Scalar()),
    Pyramid(2, "db2"),
    Pyramid(2, scaling=Half()),
    Pyramid(2, scaling=Unscaled()),
    Pyramid(2, scaling=Eigenbasis()),
    *LAPLACIANS,
]


@pytest.fixture(params=FACTORIZATIONS, ids=lambda f: f"{type(f).__name__}-{f.wavelet}-{f.levels}")
def factorization(request):
    found = request.param
    found.fit(statistics(found.levels, found.split))
    return found


def test_decoding_the_encoded_targets_gives_the_images(factorization):
    factors = factorization.encode(images())
    conditions = {}

    def draw(index, condition):
        conditions[index] = condition
        return factors[index].target

    torch.testing.assert_close(factorization.decode(draw), images(), atol=1e-5, rtol=0)
    for index, factor in enumerate(factors):
        if factor.condition.ll is None:
            assert conditions[index] is None
        else:
            # While sampling, a model sees just what it saw while learning.
            torch.testing.assert_close(conditions[index], factor.condition.ll, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pyramid", [f for f in FACTORIZATIONS if isinstance(f, LevelByLevel)])
def test_true_details_complete_the_images_one_level_finer(pyramid):
    pyramid.fit(statistics(pyramid.levels, pyramid.split))
    finer = [images()]
    while len(finer) < pyramid.levels:
        finer.append(dwt2(finer[-1], pyramid.wavelet)[0])
    coarsest, *details = pyramid.encode(images())
    assert coarsest.finer is None
    for factor, expected in zip(reversed(details), finer, strict=True):
        assert factor.finer is not None
        torch.testing.assert_close(factor.finer(factor.target), expected, atol=1e-5, rtol=0)
        part = factor.part(1, 3)
        torch.testing.assert_close(part.finer(part.target), expected[1:3], atol=1e-5, rtol=0)
        assert torch.equal(part.condition.ll, factor.condition.ll[1:3])


@pytest.mark.parametrize("kind", [Pyramid, LaplacianPyramid])
def test_the_peak_is_what_white_images_reach(kind):
    _, *details = kind(3, scaling=Unscaled()).encode(torch.ones(1, 3, 32, 32))
    for factor, peak in zip(details, (4, 2, 1), strict=True):
        assert factor.finer.peak == peak
        torch.testing.assert_close(
            factor.finer(factor.target), torch.full_like(factor.finer(factor.target), peak)
        )


def test_target_shapes_are_told_without_images(factorization):
    factors = factorization.encode(images())
    assert factorization.target_shapes((3, 32, 32)) == [tuple(f.target.shape[1:]) for f in factors]
    conditions = [0 if f.condition.ll is None else f.condition.ll.shape[1] for f in factors]
    assert factorization.condition_channels((3, 32, 32)) == conditions


def test_a_checkpoint_keeps_the_scaling():
    measured, fresh = Pyramid(2, "db2"), Pyramid(2, "db2")
    measured.fit(statistics(2, measured.split))
    fresh.load_state_dict(measured.state_dict())
    for one, two in zip(measured.encode(images()), fresh.encode(images()), strict=True):
        assert torch.equal(one.target, two.target)


def test_half_keeps_images_in_range():
    extremes = images().sign()
    for levels in (1, 2, 3):
        assert Subbands(levels=levels).encode(extremes)[0].target.abs().max() <= 1
    for pyramid in (Pyramid(3, scaling=Half()), LaplacianPyramid(3, Half())):
        for factor in pyramid.encode(extremes):
            assert factor.target.abs().max() <= 1


def test_subbands_are_half_the_orthonormal_bands_ll_first():
    coarse, details = dwt2(images())
    target = Subbands().encode(images())[0].target
    assert torch.equal(target[:, :3], coarse / 2)
    assert torch.equal(target[:, 3:], details / 2)


# Blocks (1 0; 0 0), (0 0; 0 0), (1 0; 1 0) and (0 0; 0 1), whose LL is (0.5 0; 1 0.5); the rest
# is worked by hand, and halved or quartered.
PIXELS = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
LL, LH, HL, HH = [0.25], [-0.125], [0.125], [0.0]
FINE_LH, FINE_HL = [0.25, 0.0, 0.0, -0.25], [0.25, 0.0, 0.5, -0.25]
FINE_HH = [0.25, 0.0, 0.0, 0.25]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (BandOrder.PYTORCH_WAVELETS, LL + LH + HL + HH + FINE_LH + FINE_HL + FINE_HH),
        (BandOrder.WAVECNET, LL + HL + LH + HH + FINE_HL + FINE_LH + FINE_HH),
    ],
)
def test_two_levels_stack_the_coarse_bands_then_the_pixels_of_the_fine_ones(order, expected):
    subbands = Subbands(order=order, channels=1, levels=2)
    target = subbands.encode(torch.tensor(PIXELS)[None, None])[0].target
    assert target.shape == (1, 16, 1, 1)
    assert target.flatten().tolist() == expected


def test_wavecnet_order_exchanges_the_mixed_bands():
    ours, theirs = (Subbands(order=order).encode(images())[0].target for order in BandOrder)
    assert torch.equal(ours[:, 3:6], theirs[:, 6:9])
    assert torch.equal(ours[:, 6:9], theirs[:, 3:6])
    assert torch.equal(ours[:, 9:], theirs[:, 9:])


def test_per_channel_scaling_standardises():
    pyramid = Pyramid(2)
    pyramid.fit(statistics(2, pyramid.split))
    for factor in pyramid.encode(images()):
        values = factor.target.transpose(0, 1).flatten(1)
        assert values.mean(1).abs().max() < 1e-5
        torch.testing.assert_close(values.std(1), torch.ones(len(values)), atol=1e-4, rtol=0)


def test_scalar_scaling_gives_unit_power_and_keeps_zero():
    pyramid = Pyramid(1, scaling=Scalar())
    pyramid.fit(statistics(1, pyramid.split))
    for factor in pyramid.encode(images()):
        assert abs(factor.target.square().mean() - 1) < 1e-3
    assert (pyramid.encode(torch.zeros(1, 3, 8, 8))[1].target == 0).all()


@pytest.mark.parametrize("wavelet", ["haar", "db2", "bior4.4"])
def test_peak_brings_what_was_measured_just_into_range(wavelet):
    subbands = Subbands(wavelet, scaling=Peak(), levels=2)
    subbands.fit(statistics(2, subbands.split))
    peaks = subbands.encode(images())[0].target.abs().amax((0, 2, 3))
    torch.testing.assert_close(peaks[:12], torch.ones(12))
    # A band of level 1 has its peak in one of the four channels that hold its pixels.
    torch.testing.assert_close(peaks[12:].reshape(9, 4).amax(1), torch.ones(9))
    assert peaks.max() <= 1


def test_scalings_tell_whether_they_keep_images_in_range():
    assert Pixels().bounded()
    assert Subbands(levels=2).bounded()
    assert Subbands("db1").bounded()
    assert Subbands("db2", scaling=Peak()).bounded()
    assert not Subbands("db2").bounded()
    assert (Subbands("db2").encode(images().sign())[0].target.abs() > 1).any()
    for scaling in (Unscaled(), Scalar(), PerChannel()):
        assert not Subbands(scaling=scaling).bounded()


def test_the_eigenbasis_makes_channels_white_and_orders_them_by_power():
    pyramid = Pyramid(2, scaling=Eigenbasis())
    pyramid.fit(statistics(2, pyramid.split))
    for factor in pyramid.encode(images()):
        white = factor.target.transpose(0, 1).flatten(1)
        torch.testing.assert_close(white.cov(), torch.eye(len(white)), atol=1e-4, rtol=0)
    band, standardised = pyramid.details[0], Pyramid(2)
    standardised.fit(statistics(2, standardised.split))
    expected = standardised.encode(images())[-1].target
    torch.testing.assert_close(band.unmixed(factor.target), expected, atol=1e-5, rtol=0)
    # Of several samples at once, too.
    ensemble = torch.stack([factor.target, -factor.target])
    torch.testing.assert_close(band.inverse(ensemble)[1], band.inverse(-factor.target))
    eigenvalues = torch.linalg.eigvalsh(expected.transpose(0, 1).flatten(1).corrcoef())
    torch.testing.assert_close(band.powers(), eigenvalues, atol=1e-4, rtol=0)
    assert torch.equal(standardised.details[0].powers(), torch.ones(9))


def test_the_eigenbasis_of_channels_that_follow_from_others_is_refused():
    grey = images()[:, :1].expand(-1, 3, -1, -1)
    levels = [LevelStatistics(measure(grey), measure(dwt2(grey)[1])) for _ in range(2)]
    with pytest.raises(
        ValueError, match=r"Eigenbasis needs channels of which none follows .* take PerChannel"
    ):
        Pyramid(1, scaling=Eigenbasis()).fit(levels)


def test_only_some_scalings_need_statistics():
    assert not Subbands().needs_statistics()
    assert Subbands(scaling=Peak()).needs_statistics()
    assert not Pixels().needs_statistics()
    assert Pyramid(2).needs_statistics()


def test_constant_bands_are_refused():
    flat = BandStatistics(torch.zeros(3), torch.zeros(3), torch.zeros(3), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="constant over the training set"):
        Pyramid(1).coarse[0].fit(flat)


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(
        ValueError, match=r"image_size must be divisible by 2\*\*levels = 8, got 100"
    ):
        Pyramid(3).target_shapes((3, 100, 100))
    with pytest.raises(
        ValueError, match=r"image_size must be divisible by 2\*\*levels = 2, got 33x32"
    ):
        Subbands().target_shapes((3, 33, 32))
    with pytest.raises(
        ValueError, match=r"image_size must be divisible by 2\*\*levels = 8, got 36"
    ):
        Subbands(levels=3).target_shapes((3, 36, 36))


@pytest.mark.parametrize("kind", [Subbands, Pyramid])
def test_transforms_that_make_no_sense_are_refused(kind):
    with pytest.raises(ValueError, match="levels must be at least 1, got 0"):
        kind(levels=0)
    with pytest.raises(ValueError, match="there is no wavelet 'db0'"):
        kind(levels=1, wavelet="db0")
    short = kind(levels=3, wavelet="db4")
    short.target_shapes((3, 32, 32))
    with pytest.raises(ValueError, match=r"a side of 4 for level 3, but wavelet 'db4' has 8 taps"):
        short.target_shapes((3, 16, 16))


def test_a_laplacian_pyramid_by_hand():
    """A line of four pixels, twice: averages 1 and 5 are enlarged to 1, 2, 4, 5 (weights 3/4 and 1/4; ends repeat)."""
    pyramid = LaplacianPyramid(1, Unscaled(), channels=1)
    coarsest, residual = pyramid.encode(torch.tensor([0.0, 2.0, 3.0, 7.0]).expand(1, 1, 2, 4))
    assert coarsest.target.tolist() == [[[[2.0, 10.0]]]]
    assert (residual.condition.true_ll() / 2)[0, 0, 0].tolist() == [1.0, 2.0, 4.0, 5.0]
    assert residual.target[0, 0, 0].tolist() == [-1.0, 0.0, -1.0, 2.0]


def test_a_laplacian_pyramid_has_the_coarse_bands_of_haar_and_a_third_more_numbers():
    laplacian, haar = (
        kind(2, scaling=Half()).encode(images()) for kind in (LaplacianPyramid, Pyramid)
    )
    torch.testing.assert_close(laplacian[0].target, haar[0].target)
    assert sum(f.target.numel() for f in laplacian) == 21 / 16 * images().numel()
    # The averages of a residual are those of the condition's error, and so nothing new.
    fine = laplacian[-1]
    condition = torch.nn.functional.avg_pool2d(fine.condition.true_ll(), 2)
    coarse = dwt2(images())[0] / 2
    torch.testing.assert_close(
        2 * torch.nn.functional.avg_pool2d(fine.target, 2), coarse - condition, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("kind", [Pyramid, LaplacianPyramid])
def test_images_of_other_channels_are_refused(kind):
    with pytest.raises(
        ValueError, match=f"channels of {kind.__name__} must be those of the images, 1, got 3"
    ):
        kind(1).target_shapes((1, 8, 8))
