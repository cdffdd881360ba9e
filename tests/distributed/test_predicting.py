"""Sampling on two processes: each image on one of them, and the same files as on one process."""

import json

import numpy as np
import pytest

from tests.places import TINY
from tests.processes import fit_apart, run_apart

pytestmark = pytest.mark.ddp

TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp")
IMAGES = 7
"""Uneven: four batches of 2, of which the last has one image, on two processes."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a trained run, and images that one process sampled from it."""
    folder = tmp_path_factory.mktemp("predicting")
    fit_apart(folder / "run", [TINY], "--trainer.max_epochs", "1")
    assert predict(folder, "one").returncode == 0
    return folder


def predict(base, out, *options, images=IMAGES):
    more = base / f"{out}.yaml"
    more.write_text(
        "trainer:\n"
        "  callbacks+:\n"
        "    - class_path: tests.recording.Sampled\n"
        f"      init_args: {{folder: {base / out}-numbers}}\n"
    )
    where = ("--out", base / out, "--ckpt_path", base / "run" / "checkpoints" / "last.ckpt")
    count = ("--images", images, "--batch_size", 2)
    return run_apart("predict", base / "run", [TINY, more], *where, *count, *options)


def sampled(base, out, rank):
    """Return the batches that a process has sampled."""
    path = base / f"{out}-numbers" / f"sampled{rank}.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_processes_sample_each_image_once_and_write_the_files_of_one(base):
    done = predict(base, "two", *TWO)
    assert done.returncode == 0, done.stderr[-3000:]
    assert sampled(base, "two", rank=0) == [[0, 1], [4, 5]]
    assert sampled(base, "two", rank=1) == [[2, 3], [6]]
    assert contents(base / "two") == contents(base / "one")
    assert len(list((base / "two").glob("*.png"))) == IMAGES


def test_two_processes_go_on_where_others_were_interrupted(base):
    (base / "resumed").mkdir()
    for name in ("generated.json", "000000.png", "000001.png", "000004.png"):
        (base / "resumed" / name).write_bytes((base / "one" / name).read_bytes())
    done = predict(base, "resumed", *TWO)
    assert done.returncode == 0, done.stderr[-3000:]
    # The batch of which one image was there is sampled whole, as arithmetic rounds by batches.
    assert sampled(base, "resumed", rank=0) == [[2, 3], [6]]
    assert sampled(base, "resumed", rank=1) == [[4, 5]]
    assert contents(base / "resumed") == contents(base / "one")


def test_a_process_without_images_waits_for_the_one_that_has_them(base):
    done = predict(base, "few", *TWO, "--npz", "true", images=1)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (sampled(base, "few", rank=0), sampled(base, "few", rank=1)) == ([[0]], [])
    assert np.load(base / "few" / "images.npz")["arr_0"].shape == (1, 16, 16, 3)


def test_all_processes_refuse_a_folder_with_images_of_others(base):
    predict(base, "others", images=2)
    (base / "others" / "generated.json").unlink()
    done = predict(base, "others", *TWO)
    assert done.returncode == 2
    assert f"{base / 'others'} holds images of unknown origin" in done.stderr
    assert "Traceback" not in done.stderr
