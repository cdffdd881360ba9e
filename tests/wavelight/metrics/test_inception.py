from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from wavelight.metrics import InceptionFeatures, InceptionMetrics
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


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    """A file of the right shape, made without a download."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *args, **kwargs: None)
        network = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    torch.save(network.state_dict(), path)
    return path


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
    assert torch.equal(ours(images), features)
    torch.testing.assert_close(ours.logits(features), logits)
    grey = images[:, :1]
    assert torch.equal(ours(grey), theirs(grey.repeat(1, 3, 1, 1))[0])
    with pytest.raises(ValueError, match="must have 1 or 3 channels for Inception, got 2"):
        ours(images[:, :2])


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
