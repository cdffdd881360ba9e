from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from wavelight.metrics import (
    InceptionFeatures,
    InceptionMetrics,
    InceptionScore,
    KernelDistance,
    PublishedProtocol,
    TensorFlowProtocol,
)
from wavelight.metrics.inception import find_weights

FILE = "weights-inception-2015-12-05-6726825d.pth"


def test_a_missing_file_is_a_sentence_that_says_where_to_get_it(tmp_path):
    metric = InceptionMetrics(tmp_path / "missing.pth")
    with pytest.raises(FileNotFoundError, match=rf"missing\.pth: fetch https://.*{FILE} and give"):
        metric.prepare()


def test_without_network_or_weights_a_sentence_says_what_to_do(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(FileNotFoundError) as caught:
        find_weights()
    for part in (
        str(tmp_path / "hub" / "checkpoints" / FILE),
        "no network",
        "TORCH_HOME",
        "`weights`",
        "https://",
    ):
        assert part in str(caught.value)


def test_torch_fidelitys_own_file_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / FILE
    path.parent.mkdir(parents=True)
    path.touch()
    assert find_weights() == path


def test_the_identity_of_the_weights_needs_no_network_object():
    assert "Inception" in InceptionFeatures().identity


@pytest.mark.slow
def test_a_wrong_file_is_an_error(tmp_path):
    path = tmp_path / "wrong.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match="does not hold torch-fidelity's Inception weights"):
        InceptionMetrics(path).prepare()


@pytest.mark.slow
def test_features_equal_torch_fidelitys(random_weights):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    ours = InceptionFeatures(random_weights)
    ours.prepare()
    outputs = ["2048", "logits_unbiased"]
    theirs = FeatureExtractorInceptionV3("inception-v3-compat", outputs, str(random_weights))
    features, logits = theirs(images)
    assert features.std() > 0.1
    assert torch.equal(ours(images), features)
    torch.testing.assert_close(ours.logits(features), logits)


def test_images_of_two_channels_are_refused():
    images = torch.zeros(2, 2, 32, 32, dtype=torch.uint8)
    with pytest.raises(ValueError, match="must have 1 or 3 channels for Inception, got 2"):
        InceptionMetrics().update(images, real=True)


@pytest.mark.slow
def test_grey_images_are_three_equal_colours(random_weights):
    grey = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    metric = InceptionMetrics(random_weights, measures=[])
    metric.prepare()
    metric.update(grey, real=True)
    metric.update(grey.repeat(1, 3, 1, 1), real=False)
    assert abs(float(metric.values()["fid"])) < 1e-9


@pytest.mark.slow
def test_the_published_protocol_has_a_name_and_numbers_of_its_own(random_weights):
    images, others = torch.randint(0, 256, (2, 6, 3, 32, 32), dtype=torch.uint8)
    found = {}
    for protocol in (TensorFlowProtocol(), PublishedProtocol(), PublishedProtocol(None)):
        metric = InceptionMetrics(random_weights, [], protocol)
        metric.prepare()
        metric.update(images, real=True)
        metric.update(others, real=False)
        ((name, value),) = metric.values().items()
        found[metric.identity] = name, float(value)
    assert len(found) == len(set(found.values())) == 3
    assert [name for name, _ in found.values()] == ["fid", "fid_published", "fid_published"]


@pytest.mark.slow
def test_fid_and_precision_and_recall_through_random_weights(random_weights):
    metric = InceptionMetrics(random_weights)
    metric.prepare()
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    metric.update(images, real=True)
    metric.update(images, real=False)
    values = metric.values()
    assert list(values) == ["fid", "precision", "recall", "density", "coverage"]
    assert abs(float(values["fid"])) < 1e-3
    assert values["precision"] == values["recall"] == 1
    assert not any(parameter.requires_grad for parameter in metric.parameters())


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_file_of_weights_runs_nothing(tmp_path):
    torch.save({"weight": Payload(tmp_path / "ran")}, tmp_path / "theirs.pth")
    metric = InceptionMetrics(tmp_path / "theirs.pth")
    with pytest.raises(ValueError, match="does not hold torch-fidelity's Inception weights"):
        metric.prepare()
    assert not (tmp_path / "ran").exists()


def reference_file(path, seed=0):
    samples = torch.randn(100, 2048, generator=torch.Generator().manual_seed(seed))
    statistics = {"mu": samples.double().mean(0).numpy(), "sigma": samples.double().T.cov().numpy()}
    np.savez(path, **statistics)
    return path


@pytest.mark.slow
def test_fid_compares_with_the_statistics_of_others(random_weights, tmp_path):
    from torchmetrics.image.fid import _compute_fid

    metric = InceptionMetrics(random_weights, reference=reference_file(tmp_path / "theirs.npz"))
    metric.prepare()
    metric.load_real_statistics(metric.given_statistics())
    images = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
    metric.update(images, real=False)
    values = metric.values()
    assert list(values) == ["fid"]
    features, theirs = metric.features(images).double(), np.load(tmp_path / "theirs.npz")
    expected = _compute_fid(
        *(torch.from_numpy(theirs[name]) for name in ("mu", "sigma")),
        features.mean(0),
        features.T.cov(),
    )
    assert float(values["fid"]) == pytest.approx(float(expected), rel=1e-5)


def test_statistics_of_others_are_read_before_the_weights_and_are_part_of_the_identity(tmp_path):
    identities = set()
    for seed in (0, 1):
        path = reference_file(tmp_path / f"{seed}.npz", seed)
        metric = InceptionMetrics(tmp_path / "missing.pth", reference=path)
        assert metric.measures == []
        with pytest.raises(FileNotFoundError, match="no Inception weights"):
            metric.prepare()
        identities.add(metric.identity)
    assert len(identities) == 2
    np.savez(tmp_path / "small.npz", mu=np.zeros(64), sigma=np.eye(64))
    metric = InceptionMetrics(tmp_path / "missing.pth", reference=tmp_path / "small.npz")
    with pytest.raises(
        ValueError, match=r"mu of \(2048,\) and sigma of \(2048, 2048\), got \(64,\)"
    ):
        metric.prepare()


def test_measures_that_compare_features_are_refused_beside_statistics():
    InceptionMetrics(measures=[InceptionScore()], reference=Path("theirs.npz"))
    with pytest.raises(
        ValueError, match=r"must not hold KernelDistance beside the statistics theirs"
    ):
        InceptionMetrics(measures=[KernelDistance()], reference=Path("theirs.npz"))
