import warnings

import pytest
import torch

from tests.wavelight.metrics.references import by_scipy, measured
from tests.wavelight.metrics.toy import ToyFeatures, blotches
from wavelight.metrics import FeatureMetrics, Gaussian, KernelDistance, Neighbours


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


def test_the_distance_equals_torchmetrics(sets):
    from torchmetrics.image.fid import FrechetInceptionDistance

    theirs = FrechetInceptionDistance(ToyFeatures().eval(), input_img_size=(3, 8, 8))
    theirs.update(sets[0], real=True)
    theirs.update(sets[1], real=False)
    ours = float(toy_metrics(*sets).values()["toy_distance"])
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-5)


def test_measures_are_those_of_the_features(sets):
    real, generated = sets
    values = toy_metrics(real, generated, measures=[Neighbours(2), KernelDistance()]).values()
    for measure in (Neighbours(2), KernelDistance()):
        for name, value in measured(measure, features(generated), features(real)).items():
            assert float(values.pop(name)) == pytest.approx(value)
    assert list(values) == ["toy_distance"]
    assert list(toy_metrics(real, generated, measures=[]).values()) == ["toy_distance"]


def test_the_features_are_kept_once_for_all_measures(sets):
    metric = toy_metrics(sets[0], measures=[Neighbours(), KernelDistance()])
    (kept,) = [name for name in metric.real_statistics() if name.startswith("kept.")]
    assert metric.real_statistics()[kept].shape == (50, 6)


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
    expected = toy_metrics(real, generated).values()
    for name, value in metric.values().items():
        assert float(value) == pytest.approx(float(expected[name]), rel=1e-9)


def test_too_few_images_are_an_error(sets):
    with pytest.raises(
        ValueError,
        match="FrechetDistance needs at least 2 real and 2 generated images, got 50 and 0",
    ):
        toy_metrics(sets[0]).values()


def test_warns_once_where_images_are_no_more_than_features():
    for count, warned in ((6, True), (7, False)):
        metric = toy_metrics(blotches(50, seed=1), blotches(count, seed=2), measures=[])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            metric.values()
            metric.values()
        sentences = [str(warning.message) for warning in said]
        assert len(sentences) == warned
        assert all("toy_distance of 6 generated and 50 real images" in each for each in sentences)
