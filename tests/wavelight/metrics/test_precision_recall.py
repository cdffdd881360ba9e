import pytest
import torch

from tests.wavelight.metrics.references import measure
from tests.wavelight.metrics.toy import seeded
from wavelight.metrics import PrecisionRecall


def by_definition(generated, real, neighbours=3):
    """Kynkäänniemi et al. (2019), equations 1 and 2, in float64."""
    generated, real = generated.double(), real.double()

    def share_inside(points, manifold):
        radius = (manifold[:, None] - manifold).norm(dim=2).sort(dim=1).values[:, neighbours]
        return float(((points[:, None] - manifold).norm(dim=2) <= radius).any(1).double().mean())

    return share_inside(generated, real), share_inside(real, generated)


@pytest.mark.parametrize("neighbours", [1, 3, 5])
@pytest.mark.parametrize("far", [0, 1000])
def test_equals_the_definition_in_float64(neighbours, far):
    generated = far + torch.randn(120, 8, generator=seeded(0))
    real = far + 0.5 + 1.5 * torch.randn(150, 8, generator=seeded(1))
    precision, recall = by_definition(generated, real, neighbours)
    assert 0.1 < recall < 0.99
    assert measure(generated, real, neighbours) == pytest.approx((precision, recall), abs=1e-6)


def test_equal_sets_are_one_and_disjoint_sets_zero():
    features = torch.randn(50, 8, generator=seeded(0))
    assert measure(features, features) == (1, 1)
    assert measure(features, features + 100) == (0, 0)


def test_a_collapsed_model_is_precise_and_recalls_little():
    real = torch.cat(
        [torch.randn(50, 8, generator=seeded(0)), 30 + torch.randn(50, 8, generator=seeded(1))]
    )
    generated = torch.randn(50, 8, generator=seeded(2)) / 2
    precision, recall = measure(generated, real)
    assert precision > 0.9
    assert recall < 0.5


def test_too_few_images_are_an_error():
    features = torch.randn(3, 8)
    with pytest.raises(
        ValueError,
        match="precision and recall with k = 3 need at least 4 real and generated images, got 50 and 3",
    ):
        measure(features, torch.randn(50, 8))


def test_forgets_the_drawn_and_keeps_the_real():
    generated, real = (
        torch.randn(40, 8, generator=seeded(0)),
        torch.randn(50, 8, generator=seeded(1)),
    )
    metric = PrecisionRecall(8)
    metric.update(real, real=True)
    metric.update(real, real=False)
    metric.compute()
    metric.forget_generated()
    metric.update(generated, real=False)
    assert float(metric.compute()["precision"]) == measure(generated, real)[0]
