"""Training on two processes through the same YAML: who sees what, and going on with another number."""

import csv
import subprocess
import sys

import pytest
import torch

from tests.places import ROOT, TINY
from tests.processes import fit_apart

pytestmark = pytest.mark.ddp


def run(folder, *options):
    folder.mkdir(exist_ok=True)
    more = folder / "more.yaml"
    more.write_text(
        "trainer:\n"
        "  callbacks+:\n"
        "    - class_path: tests.recording.Recorder\n"
        f"      init_args: {{folder: {folder}}}\n"
        "evaluation:\n"
        "  reference_images: 900\n"
    )
    # Without so large an eps, Adam takes whole steps along gradients that are rounding alone.
    eps = [
        word
        for player in ("generator", "discriminator")
        for word in (f"--model.init_args.{player}_optimizer.init_args.eps", "1e-3")
    ]
    fit_apart(folder, [TINY, more], *eps, *options)


def seen(folder, rank, ranks):
    return torch.load(folder / f"rank{rank}of{ranks}.pt", weights_only=True)


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run of two epochs on two processes, and one whose first epoch ran on one."""
    base = tmp_path_factory.mktemp("two")
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.val_images", "800"]
    one = ["--trainer.devices", "1", "--data.val_images", "800"]
    run(base / "two", *two)
    run(base / "mixed", *one, "--trainer.max_epochs", "1")
    run(base / "mixed", *two, "--ckpt_path", "last")
    return base / "two", base / "mixed"


def test_processes_share_each_batch_and_draw_different_noise(folders):
    first, second = (seen(folders[0], rank, 2) for rank in range(2))
    for step, ((left, left_noise, _), (right, right_noise, _)) in enumerate(
        zip(first, second, strict=True)
    ):
        assert torch.cat([left, right]).tolist() == list(range(8 * step, 8 * step + 8))
        assert not torch.isclose(left_noise, right_noise).any()


def test_another_number_of_processes_sees_the_same_images_and_noise(folders):
    two, mixed = folders
    halves = [seen(two, rank, 2) for rank in range(2)]
    whole = seen(mixed, 0, 1)
    assert len(whole) == 3
    for (left, right), one in zip(zip(*halves, strict=True), whole, strict=False):
        for a, b, c in zip(left, right, one, strict=True):
            torch.testing.assert_close(torch.cat([a, b]), c)
    for rank in range(2):
        for step, again in zip(halves[rank][3:], seen(mixed, rank, 2), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(step, again, strict=True))


def test_another_number_of_processes_goes_on_from_the_same_weights(folders):
    two, mixed = (weights(folder) for folder in folders)
    assert two["wavelight_progress"] == mixed["wavelight_progress"]
    for name, tensor in two["state_dict"].items():
        torch.testing.assert_close(tensor, mixed["state_dict"][name], atol=1e-5, rtol=0)


def test_distances_agree_between_one_and_two_processes(folders):
    """The untrained network samples the same images on both, which are measured against the same real ones."""
    untrained = []
    for folder in folders:
        rows = list(csv.DictReader((folder / "metrics.csv").open()))
        untrained.append(float(next(row["val/fwd800"] for row in rows if row["val/fwd800"])))
    assert untrained[0] == pytest.approx(untrained[1], rel=1e-6)


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    command = [
        sys.executable,
        "-m",
        "wavelight",
        "fit",
        "--config",
        str(TINY),
        "--data.batch_size",
        "7",
    ]
    command += ["--trainer.devices", "2", "--trainer.default_root_dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "the global batch_size must be a multiple of the 2 processes, got 7" in done.stderr
