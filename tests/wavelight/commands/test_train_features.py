"""Features that are learnt from labelled images: the same ones again, and a metric looks through them."""

import numpy as np
import pytest
import torch
from PIL import Image

from data_modules import DataError, GaussianFields, ImageFolder, Shards
from data_modules.prepare import prepare
from tests.wavelight.metrics.toy import blotches, seeded
from wavelight.commands.train_features import train_features
from wavelight.evaluation.feature_training import vary
from wavelight.metrics import FeatureNetworkMetrics
from wavelight.metrics.feature_classifier import Features

SIDE = 8
QUICK = {"image_size": SIDE, "held_out": 8, "epochs": 30, "width": 4}
FEATURES = 4 + 4 + 8 + 16 + 32


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A folder of dark and of light pictures."""
    folder = tmp_path_factory.mktemp("labelled")
    for label, (name, light) in enumerate((("dark", 40), ("light", 200))):
        (folder / name).mkdir()
        noise = np.random.default_rng(label).integers(0, 50, (24, SIDE, SIDE, 3), dtype=np.uint8)
        for number, pixels in enumerate(noise + np.uint8(light)):
            Image.fromarray(pixels).save(folder / name / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def trained(labelled, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "features.pt2"
    return out, train_features(out, source=ImageFolder(labelled), device="cpu", **QUICK)


def test_learns_to_tell_classes_apart(trained):
    out, said = trained
    assert said == (
        f"{out} maps images to {FEATURES} features; trained on 40 images of 2 classes, its accuracy is 100.0% on "
        "8 held-out ones"
    )


@pytest.mark.slow
def test_learns_of_the_training_part_of_shards(labelled, tmp_path):
    prepare(ImageFolder(labelled), tmp_path / "shards", SIDE, held_out=8, workers=0)
    source = Shards(tmp_path / "shards")
    said = train_features(tmp_path / "features.pt2", source=source, device="cpu", **QUICK)
    assert "40 images of 2 classes, its accuracy is 100.0% on 8" in said


def test_a_metric_looks_through_the_file(trained):
    metric = FeatureNetworkMetrics(trained[0])
    metric.prepare()
    metric.update(blotches(20), real=True)
    metric.update(blotches(20), real=False)
    values = metric.values()
    assert metric.features.num_features == FEATURES
    assert values["precision"] == values["recall"] == 1


def test_no_layer_dominates():
    features = Features(channels=3, width=4).eval().requires_grad_(False)
    images = blotches(100)
    features.equalise(images)
    layers = features(images).var(0).split(features.sizes)
    assert [float(layer.sum()) for layer in layers] == pytest.approx([1] * 5, rel=1e-4)


@pytest.mark.slow
def test_a_seed_gives_the_same_file_and_leaves_the_global_one_alone(labelled, trained, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    again = tmp_path / "again.pt2"
    train_features(again, source=ImageFolder(labelled), device="cpu", **QUICK)
    assert torch.equal(torch.get_rng_state(), before)
    assert again.read_bytes() == trained[0].read_bytes()
    assert list(tmp_path.iterdir()) == [again]


def test_images_are_shifted_and_mirrored():
    column = torch.arange(16, dtype=torch.uint8).expand(200, 1, 16, 16)
    shifted = vary(column, False, seeded(0))
    steps = shifted.diff(dim=-1)
    assert shifted.shape == column.shape
    assert set(shifted[:, 0, 0, 8].tolist()) == {6, 7, 8, 9, 10}
    assert (steps[..., 3:-3] == 1).all()
    mirrored = vary(column, True, seeded(0)).diff(dim=-1)[:, 0, 0, 8] == -1
    assert 70 < int(mirrored.sum()) < 130


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"held_out": 0}, "held_out must be at least 1, got 0"),
        ({"held_out": 48}, "held_out must be from 0 to less than the 48 images, got 48"),
        ({"image_size": 4}, "image_size must be at least 8, got 4"),
        ({"image_size": 16}, "upscale"),
        ({"device": "nowhere"}, "device 'nowhere' is not available on this machine"),
    ],
)
def test_values_that_make_no_sense_are_errors(labelled, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        train_features(tmp_path / "features.pt2", source=ImageFolder(labelled), **QUICK | options)
    assert not list(tmp_path.iterdir())


def test_a_name_of_another_kind_of_file_is_an_error(labelled, tmp_path):
    with pytest.raises(
        ValueError, match=r"the output file must end in \.pt2, got .*features\.ckpt"
    ):
        train_features(tmp_path / "features.ckpt", source=ImageFolder(labelled), **QUICK)


def test_images_without_classes_are_an_error(labelled, tmp_path):
    out = tmp_path / "features.pt2"
    with pytest.raises(
        ValueError,
        match="source must have at least 2 classes of images, got 0: put each class in a folder",
    ):
        train_features(out, source=ImageFolder(labelled / "dark"), **QUICK)
    with pytest.raises(ValueError, match="at least 2 classes of images, got 0"):
        train_features(out, source=GaussianFields(10, eta=1.0), **QUICK)
    with pytest.raises(DataError, match="nothing"):
        train_features(out, source=ImageFolder(tmp_path / "nothing"), **QUICK)


def test_an_image_beside_the_folders_is_an_error(labelled, tmp_path):
    folder = tmp_path / "stray"
    folder.mkdir()
    for name in ("dark", "light"):
        (folder / name).symlink_to(labelled / name)
    (folder / "stray.png").write_bytes((labelled / "dark" / "00.png").read_bytes())
    with pytest.raises(
        ValueError, match=r"stray\.png has no class: put each image in a folder of its class"
    ):
        train_features(tmp_path / "features.pt2", source=ImageFolder(folder), **QUICK)
