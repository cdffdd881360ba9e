import pytest
import torch

from tests.wavelight.metrics.references import by_scipy, measure
from tests.wavelight.metrics.toy import ToyFeatures, blotches
from wavelight.metrics import FeatureMetrics, Gaussian


@pytest.fixture
def sets():
    return blotches(50, seed=1), blotches(60, seed=2, noise=60)


def toy_metrics(real=None, generated=None, **options):
    metric = FeatureMetrics(ToyFeatures(), "toy_distance", **options)
    metric.prepare()
    for images, is_real in ((real, True), (generated, False)):
        for part in () if images is None else images.split(16):
            metric.update(part, real=is_real)
    return metric


def features(images):
    return ToyFeatures().eval()(images).detach()


def test_distance_equals_the_square_root_of_a_matrix(sets):
    expected = by_scipy(
        *(Gaussian(f.double().mean(0), f.double().T.cov()) for f in map(features, sets))
    )
    assert float(toy_metrics(*sets).values()["toy_distance"]) == pytest.approx(expected, rel=1e-6)


def test_precision_and_recall_are_those_of_the_features(sets):
    real, generated = sets
    values = toy_metrics(real, generated).values()
    expected = measure(features(generated), features(real))
    assert (float(values["precision"]), float(values["recall"])) == pytest.approx(expected)
    assert list(toy_metrics(real, generated, precision_recall=False).values()) == ["toy_distance"]


def test_the_network_runs_once_a_batch(sets):
    assert toy_metrics(*sets).features.runs == 4 + 4


def test_the_network_is_frozen_and_evaluates(sets):
    metric = toy_metrics()
    assert not metric.features.training
    assert not any(parameter.requires_grad for parameter in metric.parameters())


def test_autocast_changes_nothing(sets):
    with torch.autocast("cpu", torch.bfloat16):
        inside = toy_metrics(*sets).values()
    assert inside == toy_metrics(*sets).values()


def test_real_statistics_come_back_and_drawn_images_are_forgotten(sets):
    real, generated = sets
    metric = toy_metrics(blotches(20, seed=9), generated)
    metric.values()
    metric.reset()
    metric.load_real_statistics(toy_metrics(real).real_statistics())
    for images in (blotches(60, seed=3), generated):
        metric.forget_generated()
        metric.update(images, real=False)
    assert metric.values() == toy_metrics(real, generated).values()


def test_too_few_images_are_an_error(sets):
    with pytest.raises(
        ValueError, match="toy_distance needs at least 2 real and 2 generated images"
    ):
        toy_metrics(sets[0]).values()
