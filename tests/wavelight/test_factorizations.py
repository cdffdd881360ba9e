import pytest
import torch

from wavelight.factorizations import (
    Half,
    PerChannel,
    Pixels,
    Pyramid,
    Scalar,
    Subbands,
    Unscaled,
)
from wavelight.wavelets import BandOrder, BandStatistics, LevelStatistics, analysis


def images():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def statistics(levels, wavelet):
    """Measure the bands of the images above."""
    coarse, found = images(), []
    for level in range(levels + 1):
        details = coarse  # pixels have none; anything does
        if level:
            coarse, details = analysis(coarse, wavelet)
        found.append(LevelStatistics(measure(coarse), measure(details)))
    return found


def measure(band):
    values = band.transpose(0, 1).flatten(1)
    return BandStatistics(values.mean(1), values.std(1), values.abs().amax(1))


FACTORIZATIONS = [
    Pixels(),
    Subbands(),
    Subbands(order=BandOrder.WAVECNET),
    Subbands("db2", scaling=PerChannel()),
    Pyramid(1),
    Pyramid(3, scaling=Scalar()),
    Pyramid(2, "db2"),
    Pyramid(2, scaling=Half()),
    Pyramid(2, scaling=Unscaled()),
]


@pytest.fixture(params=FACTORIZATIONS, ids=lambda f: f"{type(f).__name__}-{f.wavelet}-{f.levels}")
def factorization(request):
    found = request.param
    found.fit(statistics(found.levels, found.wavelet))
    return found


def test_decoding_the_encoded_targets_gives_the_images(factorization):
    factors = factorization.encode(images())
    conditions = {}

    def draw(index, condition):
        conditions[index] = condition
        return factors[index].target

    torch.testing.assert_close(factorization.decode(draw), images(), atol=1e-5, rtol=0)
    for index, factor in enumerate(factors):
        if factor.condition is None:
            assert conditions[index] is None
        else:
            # While drawing, a model sees just what it saw while learning.
            torch.testing.assert_close(conditions[index], factor.condition, atol=1e-5, rtol=0)


def test_target_shapes_are_told_without_images(factorization):
    factors = factorization.encode(images())
    assert factorization.target_shapes((3, 32, 32)) == [tuple(f.target.shape[1:]) for f in factors]


def test_a_checkpoint_keeps_the_scaling():
    measured, fresh = Pyramid(2, "db2"), Pyramid(2, "db2")
    measured.fit(statistics(2, "db2"))
    fresh.load_state_dict(measured.state_dict())
    for one, two in zip(measured.encode(images()), fresh.encode(images()), strict=True):
        assert torch.equal(one.target, two.target)


def test_half_keeps_images_in_range():
    extremes = images().sign()
    assert Subbands().encode(extremes)[0].target.abs().max() <= 1
    for factor in Pyramid(3, scaling=Half()).encode(extremes):
        assert factor.target.abs().max() <= 1


def test_subbands_are_half_the_orthonormal_bands_ll_first():
    coarse, details = analysis(images())
    target = Subbands().encode(images())[0].target
    assert torch.equal(target[:, :3], coarse / 2)
    assert torch.equal(target[:, 3:], details / 2)


def test_wavecnet_order_exchanges_the_mixed_bands():
    ours, theirs = (Subbands(order=order).encode(images())[0].target for order in BandOrder)
    assert torch.equal(ours[:, 3:6], theirs[:, 6:9])
    assert torch.equal(ours[:, 6:9], theirs[:, 3:6])
    assert torch.equal(ours[:, 9:], theirs[:, 9:])


def test_per_channel_scaling_standardises():
    pyramid = Pyramid(2)
    pyramid.fit(statistics(2, "haar"))
    for factor in pyramid.encode(images()):
        values = factor.target.transpose(0, 1).flatten(1)
        assert values.mean(1).abs().max() < 1e-5
        torch.testing.assert_close(values.std(1), torch.ones(len(values)), atol=1e-4, rtol=0)


def test_scalar_scaling_gives_unit_power_and_keeps_zero():
    pyramid = Pyramid(1, scaling=Scalar())
    pyramid.fit(statistics(1, "haar"))
    for factor in pyramid.encode(images()):
        assert abs(factor.target.square().mean() - 1) < 1e-3
    assert (pyramid.encode(torch.zeros(1, 3, 8, 8))[1].target == 0).all()


def test_only_some_scalings_need_statistics():
    assert not Subbands().needs_statistics()
    assert not Pixels().needs_statistics()
    assert Pyramid(2).needs_statistics()


def test_constant_bands_are_refused():
    flat = BandStatistics(torch.zeros(3), torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match="constant over the training set"):
        Pyramid(1).coarse[0].fit(flat)


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"image_size 100 is not divisible by 2\*\*levels = 8"):
        Pyramid(3).target_shapes((3, 100, 100))
    with pytest.raises(ValueError, match="image_size 33x32"):
        Subbands().target_shapes((3, 33, 32))
    with pytest.raises(ValueError, match="at least 1 level"):
        Pyramid(0)
