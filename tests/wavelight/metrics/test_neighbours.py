import pytest
import torch

from tests.wavelight.metrics.references import measured, neighbours_by_definition
from tests.wavelight.metrics.toy import seeded
from wavelight.metrics import KeptFeatures, Neighbours, pairs


def two_sets(far=0):
    generated = far + torch.randn(120, 8, generator=seeded(0))
    return generated, far + 0.5 + 1.5 * torch.randn(150, 8, generator=seeded(1))


@pytest.mark.parametrize("neighbours", [(1, 1), (3, 5), (5, 2)])
@pytest.mark.parametrize("far", [0, 1000])
def test_equals_the_definition_in_float64(neighbours, far):
    generated, real = two_sets(far)
    expected = neighbours_by_definition(generated, real, *neighbours)
    assert 0.1 < expected["recall"] < 0.99
    assert 0.1 < expected["coverage"] < 0.99
    assert measured(Neighbours(*neighbours), generated, real) == pytest.approx(expected, abs=1e-6)


def test_blocks_of_any_size_give_the_same(monkeypatch):
    whole = measured(Neighbours(), *two_sets())
    monkeypatch.setattr(pairs, "ROWS", 32)
    monkeypatch.setattr(pairs, "COLUMNS", 50)
    assert measured(Neighbours(), *two_sets()) == whole


def test_precision_and_recall_equal_torch_fidelitys():
    from torch_fidelity.metric_prc import prc_features_to_metric

    generated, real = two_sets()
    expected = prc_features_to_metric(
        generated, real, prc_neighborhood=3, prc_batch_size=64, save_cpu_ram=True, verbose=False
    )
    found = measured(Neighbours(), generated, real)
    for name in ("precision", "recall"):
        assert found[name] == pytest.approx(expected[name], abs=1e-6)


def test_equal_sets_are_one_and_disjoint_sets_zero():
    # Whole numbers of mean 0, whose distances have no rounding error.
    half = torch.randint(-500, 500, (25, 8), generator=seeded(0)).float()
    features = torch.cat([half, -half])
    names = ["precision", "recall", "density", "coverage"]
    assert measured(Neighbours(), features, features) == dict.fromkeys(names, 1)
    assert measured(Neighbours(), features, features + 10_000) == dict.fromkeys(names, 0)


def test_a_collapsed_model_is_precise_and_recalls_and_covers_little():
    real = torch.cat(
        [torch.randn(50, 8, generator=seeded(0)), 30 + torch.randn(50, 8, generator=seeded(1))]
    )
    found = measured(Neighbours(), torch.randn(50, 8, generator=seeded(2)) / 2, real)
    assert found["precision"] > 0.9
    assert found["density"] > 1
    assert found["recall"] < 0.5
    assert found["coverage"] < 0.6


def test_matrix_products_of_the_run_may_be_coarse():
    torch.set_float32_matmul_precision("medium")
    try:
        found = measured(Neighbours(), *two_sets())
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert found == measured(Neighbours(), *two_sets())


def test_too_few_images_are_an_error():
    features = torch.randn(3, 8)
    with pytest.raises(
        ValueError,
        match="Neighbours needs at least 6 real and 6 generated images, got 50 and 3",
    ):
        measured(Neighbours(), features, torch.randn(50, 8))


def test_forgets_the_generated_and_keeps_the_real():
    generated, real = two_sets()
    metric = KeptFeatures(8, [Neighbours()])
    metric.update(real, real=True)
    metric.update(real, real=False)
    metric.compute()
    metric.forget_generated()
    metric.update(generated, real=False)
    assert float(metric.compute()["density"]) == measured(Neighbours(), generated, real)["density"]
