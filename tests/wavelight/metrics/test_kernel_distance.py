import pytest
import torch

from tests.wavelight.metrics.references import in_any_order, kid_by_pairs, measured
from tests.wavelight.metrics.toy import seeded
from wavelight.metrics import KernelDistance, pairs


def two_sets(generated=30, real=40, dimension=6):
    return (
        torch.randn(generated, dimension, generator=seeded(0)),
        0.3 + 1.2 * torch.randn(real, dimension, generator=seeded(1)),
    )


def test_equals_a_loop_over_pairs_in_float64(monkeypatch):
    generated, real = two_sets()
    expected = {"kid": pytest.approx(kid_by_pairs(real, generated), rel=1e-9)}
    assert measured(KernelDistance(), generated, real) == expected
    monkeypatch.setattr(pairs, "ROWS", 7)
    monkeypatch.setattr(pairs, "COLUMNS", 11)
    assert measured(KernelDistance(), generated, real) == expected


def test_equals_torchmetrics_on_one_subset_of_all():
    from torchmetrics.image.kid import maximum_mean_discrepancy, poly_kernel

    generated, real = (side.double() for side in two_sets(40, 40, 2048))
    sides = (real, real), (real, generated), (generated, generated)
    theirs = float(maximum_mean_discrepancy(*(poly_kernel(*pair) for pair in sides)))
    for measure in (KernelDistance(), KernelDistance(3, subset_size=40)):
        found = measured(measure, generated.float(), real.float())
        assert found["kid"] == pytest.approx(theirs, rel=1e-9)
    assert found["kid_std"] == pytest.approx(0, abs=1e-9)


def test_subsets_vary_about_the_distance_of_all_pairs():
    generated, real = two_sets(200, 220)
    found = measured(KernelDistance(100, subset_size=50), generated, real)
    expected = measured(KernelDistance(), generated, real)["kid"]
    # 6 standard errors of their mean.
    assert found["kid_std"] > 0
    assert found["kid"] == pytest.approx(expected, abs=6 * found["kid_std"] / 100**0.5)


def test_subsets_are_the_same_in_any_order_of_images():
    generated, real = two_sets(200, 220)
    shuffled = in_any_order(generated, 3), in_any_order(real, 4)
    measure = KernelDistance(10, subset_size=50)
    expected = measured(measure, generated, real)
    assert measured(measure, *shuffled) == pytest.approx(expected, rel=1e-12)


def test_equal_distributions_have_a_distance_about_zero():
    halves = torch.randn(400, 6, generator=seeded(0)).split(200)
    others = measured(KernelDistance(), *two_sets(200, 200))
    assert abs(measured(KernelDistance(), *halves)["kid"]) < others["kid"] / 10


def test_bad_numbers_are_errors():
    with pytest.raises(ValueError, match="subset_size must be at least 2, got 1"):
        KernelDistance(subset_size=1)
    with pytest.raises(
        ValueError,
        match="KernelDistance needs at least 31 real and 31 generated images, got 40 and 30",
    ):
        measured(KernelDistance(2, subset_size=31), *two_sets())
