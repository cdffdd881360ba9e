import json
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from data_modules import DataError, ImageFolder
from data_modules.prepare import prepare
from tests.wavelight.metrics.toy import ClassFeatures, blotches
from wavelight.commands.measure import measure
from wavelight.metrics import (
    FeatureMetrics,
    FieldDistance,
    FrechetWaveletDistance,
    InceptionMetrics,
    InceptionScore,
)

SIDE, REAL, GENERATED = 16, 40, 30


def write_folder(folder, images):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number:03d}.png")
    return folder


def real_images():
    return blotches(REAL, side=SIDE, seed=1)


def generated_images():
    return blotches(GENERATED, side=SIDE, seed=2, noise=60)


@pytest.fixture
def real(tmp_path):
    return write_folder(tmp_path / "real", real_images())


@pytest.fixture
def generated(tmp_path):
    return write_folder(tmp_path / "generated", generated_images())


def by_hand(metric, generated=None):
    metric.prepare()
    metric.update(real_images(), real=True)
    metric.update(generated_images() if generated is None else generated, real=False)
    return {name: float(value) for name, value in metric.values().items()}


def toy():
    return FeatureMetrics(ClassFeatures(side=SIDE), "toy_distance", [InceptionScore()])


def measured(*arguments, out, **options):
    measure(*arguments, out=out, device="cpu", **options)
    return json.loads(out.read_text())["measured"]


def test_values_are_those_of_the_metrics(generated, real, tmp_path):
    metrics = [FrechetWaveletDistance(4), toy(), FieldDistance(-1, 1)]
    found = measured(generated, reference=real, metrics=metrics, out=tmp_path / "out.json")
    values = {}
    for metric in (FrechetWaveletDistance(4), toy()):
        values |= by_hand(metric)
    field = FieldDistance(-1, 1)
    field.update(real_images().float() / 127.5 - 1, real=True)
    field.update(generated_images().float() / 127.5 - 1, real=False)
    values |= {name: float(value) for name, value in field.values().items()}
    assert found == {
        "folder": str(generated),
        "images": GENERATED,
        "reference": str(real),
        "values": {name: pytest.approx(value, rel=1e-5) for name, value in values.items()},
    }


def test_a_table_names_the_exact_number_of_images(generated, real):
    said = measure(generated, reference=real, images=20, device="cpu")
    assert said.startswith(f"{generated} against {real}")
    assert "| fwd20 " in said.splitlines()[-1]


@pytest.mark.parametrize("kind", ["zip", "npz", "sampled", "shards"])
def test_other_kinds_of_files_give_the_same(generated, real, tmp_path, kind):
    expected = measured(generated, reference=real, out=tmp_path / "a.json")["values"]
    stack = {"arr_0": generated_images().permute(0, 2, 3, 1).numpy()}
    folder, reference = tmp_path / f"other.{kind}", real
    if kind == "zip":
        with ZipFile(folder, "w") as archive:
            for path in sorted(generated.glob("*.png")):
                archive.write(path, f"samples/{path.name}")
    elif kind == "npz":
        np.savez(folder, **stack)
    elif kind == "sampled":
        folder.mkdir()
        np.savez(folder / "images.npz", **stack)
        Image.new("RGB", (64, 64)).save(folder / "grid.png")
    else:
        folder, reference = generated, tmp_path / "shards"
        prepare(ImageFolder(real), reference, SIDE, workers=0)
    found = measured(folder, reference=reference, out=tmp_path / "b.json")["values"]
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_grid_beside_sampled_images_is_none_of_them(generated, real, tmp_path):
    expected = measured(generated, reference=real, out=tmp_path / "a.json")
    Image.new("RGB", (64, 64)).save(generated / "grid.png")
    assert measured(generated, reference=real, out=tmp_path / "b.json") == expected


def test_grey_stacks_are_three_equal_colours(real, tmp_path):
    grey = generated_images()[:, :1]
    np.savez(tmp_path / "grey.npz", grey[:, 0].numpy())
    found = measured(tmp_path / "grey.npz", reference=real, out=tmp_path / "a.json")["values"]
    expected = by_hand(FrechetWaveletDistance(), grey.repeat(1, 3, 1, 1))
    assert found == pytest.approx(expected, rel=1e-9)


def test_real_images_are_measured_once(generated, real, tmp_path):
    first = measured(generated, reference=real, out=tmp_path / "a.json")
    (kept,) = (real / ".wavelight").glob("real-*.pt")
    before = kept.stat().st_mtime_ns
    assert measured(generated, reference=real, out=tmp_path / "b.json") == first
    assert kept.stat().st_mtime_ns == before


def test_images_of_other_sizes_are_sentences(generated, real, tmp_path):
    Image.new("RGB", (20, 16)).save(generated / "odd.png")
    with pytest.raises(
        DataError, match=r"odd\.png must have 16x16 pixels as all others, got 20x16"
    ):
        measure(generated, reference=real, device="cpu")
    (generated / "odd.png").unlink()
    large = write_folder(tmp_path / "large", blotches(REAL, side=32, seed=1))
    with pytest.raises(
        DataError, match=r"000\.png must have 16x16 .* got 32x32: .*resize_reference"
    ):
        measure(generated, reference=large, device="cpu")
    found = measure(generated, reference=large, resize_reference=True, device="cpu")
    assert "fwd30" in found


def statistics(path, dimension=2048):
    np.savez(path, mu=np.zeros(dimension), sigma=np.eye(dimension))
    return path


def test_statistics_need_inception_and_are_checked_before_work(generated, tmp_path):
    missing = tmp_path / "missing.pth"
    with pytest.raises(FileNotFoundError, match=r"no Inception weights at .*missing\.pth"):
        measure(generated, reference=statistics(tmp_path / "a.npz"), weights=missing, device="cpu")
    with pytest.raises(ValueError, match=r"sigma of \(2048, 2048\), got \(64,\)"):
        measure(
            generated, reference=statistics(tmp_path / "b.npz", 64), weights=missing, device="cpu"
        )
    with pytest.raises(ValueError, match="metrics must all be InceptionMetrics to compare with"):
        measure(generated, reference=tmp_path / "a.npz", metrics=[toy()], device="cpu")
    metrics = [InceptionMetrics(), FrechetWaveletDistance()]
    with pytest.raises(ValueError, match="metrics must all be InceptionMetrics to compare with"):
        measure(generated, reference=tmp_path / "a.npz", metrics=metrics, device="cpu")


def test_weights_without_inception_are_refused(generated, real, tmp_path):
    with pytest.raises(ValueError, match="weights must be left out where no metric is Inception"):
        measure(generated, reference=real, metrics=[toy()], weights=tmp_path / "w", device="cpu")


def test_other_files_are_sentences(generated, real, tmp_path):
    for name, content, sentence in (
        ("float.npz", {"arr_0": np.zeros((2, 16, 16, 3))}, "must hold uint8 images"),
        ("named.npz", {"x": np.zeros(3)}, "must hold images as arr_0, got x"),
        ("long.npz", {"arr_0": np.zeros((2, 16, 8, 3), np.uint8)}, "must be square to be measured"),
    ):
        np.savez(tmp_path / name, **content)
        with pytest.raises(DataError, match=sentence):
            measure(tmp_path / name, reference=real, device="cpu")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(DataError, match=r"broken\.npz is not a complete NPZ file"):
        measure(tmp_path / "broken.npz", reference=real, device="cpu")
    with pytest.raises(DataError, match=r"there is no .*none\.npz"):
        measure(generated, reference=tmp_path / "none.npz", device="cpu")
    with pytest.raises(DataError, match=r"there is no .*nowhere: check the path"):
        measure(tmp_path / "nowhere", reference=real, device="cpu")


@pytest.mark.slow
def test_inception_compares_a_folder_with_statistics(generated, tmp_path, random_weights):
    found = measured(
        generated,
        reference=statistics(tmp_path / "a.npz"),
        weights=random_weights,
        out=tmp_path / "out.json",
    )
    metric = InceptionMetrics(random_weights, measures=[])
    metric.prepare()
    features = metric.features(generated_images()).double()
    covariance = features.T.cov()
    root = torch.linalg.eigvalsh(covariance).clamp(min=0).sqrt().sum()
    expected = features.mean(0).square().sum() + covariance.trace() + 2048 - 2 * root
    assert found["values"] == {"fid": pytest.approx(float(expected), rel=1e-5)}
