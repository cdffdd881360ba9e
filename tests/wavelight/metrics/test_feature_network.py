import io
from zipfile import ZipFile

import pytest
import torch
from torch import nn

from tests.wavelight.metrics.toy import ToyFeatures, blotches
from wavelight.metrics import FeatureMetrics, FeatureNetworkMetrics, write_feature_network
from wavelight.metrics.feature_network import NetworkFile

SIDE = 8


class Pooled(nn.Module):
    """A linear map of 4x4 blocks of pixels, with what a careless export gets wrong."""

    def __init__(self, rate=0.0, norm=False, dimensions=2, number=torch.float32):
        super().__init__()
        self.linear = nn.Linear(3 * 4, 5)
        self.norm = nn.BatchNorm1d(5) if norm else nn.Identity()
        self.dropout = nn.Dropout(rate)
        self.dimensions, self.number = dimensions, number

    def forward(self, images):
        pooled = nn.functional.avg_pool2d(images.float(), 4).flatten(1)
        features = self.dropout(self.norm(self.linear(pooled)))
        return features.unflatten(1, (5, *[1] * (self.dimensions - 2))).to(self.number)


class Converted(nn.Module):
    """Takes floats."""

    def forward(self, images):
        return images.mean((2, 3))


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    """The toy network of the other tests as a file."""
    path = tmp_path_factory.mktemp("network") / "toy.pt2"
    write_feature_network(ToyFeatures().eval(), path, SIDE)
    return path


def exported(path, network, *images, **options):
    """Write what write_feature_network refuses."""
    torch.export.save(torch.export.export(network, images, **options), path)
    return path


def by_network(metric, real, generated):
    metric.prepare()
    metric.update(real, real=True)
    for part in generated.split(7):
        metric.update(part, real=False)
    return metric.values()


def test_values_are_those_of_the_network_in_memory(network_file):
    real, generated = blotches(40, seed=1), blotches(30, seed=2, noise=60)
    found = by_network(FeatureNetworkMetrics(network_file), real, generated)
    expected = by_network(FeatureMetrics(ToyFeatures(), "frechet"), real, generated)
    assert list(found) == ["frechet", "precision", "recall", "density", "coverage"]
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, rel=1e-5
    )


def test_weights_in_channels_last_are_kept(tmp_path, recwarn):
    network = nn.Sequential(_Bytes(), nn.Conv2d(3, 4, 3), nn.Flatten()).eval()
    network.to(memory_format=torch.channels_last)
    write_feature_network(network, tmp_path / "last.pt2", SIDE)
    features = NetworkFile(tmp_path / "last.pt2")
    features.prepare()
    torch.testing.assert_close(features(blotches(3)), network(blotches(3)))
    assert not recwarn.list


class _Bytes(nn.Module):
    def forward(self, images):
        return images.float() / 255


def test_equal_sets_have_precision_and_recall_one(network_file):
    images = blotches(20)
    values = by_network(FeatureNetworkMetrics(network_file), images, images)
    assert values["precision"] == values["recall"] == 1
    assert abs(float(values["frechet"])) < 1e-3


def test_the_distance_has_any_name_but_one_that_is_taken(network_file):
    metric = FeatureNetworkMetrics(network_file, distance="mine", measures=[])
    assert list(by_network(metric, blotches(9), blotches(9, seed=1))) == ["mine"]
    with pytest.raises(
        ValueError, match=r"must not be the name of another metric, got .*; choose another name"
    ):
        FeatureNetworkMetrics(network_file, distance="fid")


def test_any_number_of_images_and_a_second_device(network_file):
    features = NetworkFile(network_file)
    features.prepare()
    for number in (1, 2, 65):
        assert features(blotches(number)).shape == (number, 6)
    # No other device than the CPU is everywhere.
    assert features(blotches(3).to("meta")).device.type == "meta"
    devices = {node.kwargs["device"] for node in _nodes(features) if "device" in node.kwargs}
    assert {torch.device(device).type for device in devices} == {"meta"}


def _nodes(features):
    return features._moved[1].graph.nodes


@pytest.mark.gpu
def test_a_gpu_gives_the_same_features(network_file):
    features = NetworkFile(network_file)
    features.prepare()
    images = blotches(5)
    torch.testing.assert_close(
        features(images.cuda()).cpu(), features(images), rtol=1e-3, atol=1e-2
    )


def test_the_identity_is_that_of_the_weights(tmp_path):
    identities = []
    for folder, shift in (("a", 0), ("b", 0), ("c", 1)):
        network = ToyFeatures().eval()
        network.weight.data += shift
        path = tmp_path / folder / "toy.pt2"
        write_feature_network(network, path, SIDE)
        metric = FeatureNetworkMetrics(path)
        metric.prepare()
        identities.append(metric.identity)
    assert identities[0] == identities[1] != identities[2]
    assert "toy.pt2" in identities[0]
    assert not list(tmp_path.rglob("*.part"))


def test_preparing_again_keeps_what_was_seen(network_file):
    metric = FeatureNetworkMetrics(network_file)
    metric.prepare()
    metric.update(blotches(9), real=True)
    metric.prepare()
    metric.update(blotches(9), real=False)
    assert metric.values()["precision"] == 1


def test_images_of_another_shape_are_an_error(network_file):
    metric = FeatureNetworkMetrics(network_file)
    metric.prepare()
    with pytest.raises(
        ValueError, match=r"takes images of 3x8x8 \(channels, height, width\), got 1x8x8"
    ):
        metric.update(blotches(4, channels=1), real=True)
    with pytest.raises(
        ValueError, match=r"takes images of 3x8x8 \(channels, height, width\), got 3x16x16"
    ):
        metric.update(blotches(4, side=16), real=True)


def test_sizes_that_may_vary_are_the_networks_to_refuse(tmp_path):
    images = torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)
    sides = {0: torch.export.Dim("n"), 3: torch.export.Dim("w", min=4, max=9)}
    path = exported(tmp_path / "any.pt2", _Mean().eval(), images, dynamic_shapes=(sides,))
    features = NetworkFile(path)
    features.prepare()
    assert features(images[..., :5]).shape == (2, 3)
    with pytest.raises(ValueError, match=r"any\.pt2 does not take images of shape \(2, 3, 8, 20\)"):
        features(images.new_zeros(2, 3, SIDE, 20))


class _Mean(nn.Module):
    def forward(self, images):
        return images.float().mean((2, 3))


def test_what_is_no_network_file_is_an_error(tmp_path, network_file):
    with pytest.raises(
        FileNotFoundError,
        match=r"train one on labelled images with `wavelight train_features`",
    ):
        FeatureNetworkMetrics(tmp_path / "none.pt2").prepare()
    damaged = tmp_path / "damaged.pt2"
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(3)}, buffer)
    for content in (b"text", buffer.getvalue(), network_file.read_bytes()[:5000]):
        damaged.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"damaged\.pt2 must be a network that torch\.export\.save wrote"
        ):
            FeatureNetworkMetrics(damaged).prepare()


def test_a_file_without_its_weights_is_an_error(tmp_path, network_file):
    path = tmp_path / "weightless.pt2"
    with ZipFile(network_file) as whole, ZipFile(path, "w") as part:
        for name in whole.namelist():
            if "weight_0" not in name:
                part.writestr(name, whole.read(name))
    with pytest.raises(ValueError, match="or a damaged file"):
        NetworkFile(path).prepare()


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Pooled(rate=0.5), "training mode"),
        (Pooled(norm=True), "training mode"),
        (Pooled(dimensions=3).eval(), r"must return one output, floats \(N, D\)"),
        (Pooled(number=torch.int32).eval(), r"must return one output, floats \(N, D\)"),
    ],
)
def test_a_network_that_does_not_fit_is_not_written(tmp_path, network, words):
    with pytest.raises(ValueError, match=words):
        write_feature_network(network, tmp_path / "wrong.pt2", SIDE)
    assert not list(tmp_path.iterdir())


def test_a_name_of_another_kind_of_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"the output file must end in \.pt2, got"):
        write_feature_network(ToyFeatures().eval(), tmp_path / "features.pth", SIDE)


def test_a_file_of_a_network_that_does_not_fit_is_an_error(tmp_path):
    images = torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)
    fixed = exported(tmp_path / "fixed.pt2", Pooled().eval(), images)
    with pytest.raises(
        ValueError, match="takes batches of 2 images only: export it with a dynamic first dimension"
    ):
        NetworkFile(fixed).prepare()
    floats = exported(tmp_path / "floats.pt2", Converted().eval(), images.float())
    with pytest.raises(ValueError, match=r"must take one input, uint8 images \(N, C, H, W\)"):
        NetworkFile(floats).prepare()
