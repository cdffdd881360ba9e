import pytest
import torch

from tests.wavelight.metrics.references import in_any_order, measured
from tests.wavelight.metrics.toy import ClassFeatures, ToyFeatures, seeded
from wavelight.metrics import FeatureMetrics, InceptionScore
from wavelight.metrics.inception_score import inception_score


def score(features, splits=10):
    measure = InceptionScore(splits)
    measure.prepare(ClassFeatures())
    return measured(measure, features)


def test_equals_torchmetrics_and_torch_fidelity():
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torchmetrics.image.inception import InceptionScore as Theirs

    logits = 4 * torch.randn(300, 20, generator=seeded(0), dtype=torch.float64)
    theirs = Theirs(feature=torch.nn.Identity(), splits=1)
    theirs.features.append(logits)
    assert float(inception_score(logits)) == pytest.approx(float(theirs.compute()[0]), rel=1e-9)
    others = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    assert float(inception_score(logits)) == pytest.approx(others, rel=1e-9)


def test_is_the_mean_and_deviation_over_parts():
    features = torch.randn(200, 6, generator=seeded(0))
    found, whole = score(features), score(features, 1)
    assert whole == {
        "inception_score": pytest.approx(float(inception_score(3 * features))),
        "inception_score_std": 0,
    }
    assert 0 < found["inception_score_std"] < found["inception_score"]
    assert found["inception_score"] < whole["inception_score"]


def test_one_sure_class_an_image_counts_the_classes_and_equal_images_are_one():
    logits = 1000 * torch.eye(7).repeat(5, 1)
    assert float(inception_score(logits)) == pytest.approx(7)
    assert float(inception_score(logits[:1].repeat(5, 1))) == pytest.approx(1)


def test_is_the_same_in_any_order_of_images():
    features = torch.randn(200, 6, generator=seeded(0))
    assert score(in_any_order(features, 3)) == pytest.approx(score(features), rel=1e-12)


def test_keeps_no_real_features():
    metric = FeatureMetrics(ClassFeatures(), "toy_distance", [InceptionScore()])
    metric.prepare()
    images = torch.randint(0, 256, (20, 3, 8, 8), dtype=torch.uint8, generator=seeded(0))
    metric.update(images, real=True)
    assert not any(name.startswith("kept.") for name in metric.real_statistics())
    metric.update(images, real=False)
    expected = float(inception_score(3 * metric.features(images)))
    assert 1 < float(metric.values()["inception_score"]) < expected


def test_a_network_without_classes_is_refused_before_work_starts():
    metric = FeatureMetrics(ToyFeatures(), "toy_distance", [InceptionScore()])
    with pytest.raises(ValueError, match=r"measures must not hold InceptionScore for ToyFeatures"):
        metric.prepare()


def test_too_few_images_are_an_error():
    with pytest.raises(
        ValueError, match="InceptionScore needs at least 10 generated images, got 9"
    ):
        score(torch.zeros(9, 6))
