import pytest
import torch

from wavelight.checkpoints.run_files import newest_checkpoint
from wavelight.systems.base import PROGRESS_KEY
from wavelight.weights import write_checkpoint


def write(path, batches):
    progress = {"batches_seen": batches, "images_seen": 8 * batches}
    write_checkpoint(path, {"state_dict": {"w": torch.arange(1e4)}, PROGRESS_KEY: progress})
    return path


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "checkpoints"
    names = {"best": 4, "previous": 8, "last": 12}
    return {name: write(folder / f"{name}.ckpt", batches) for name, batches in names.items()}


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_last_is_taken_in_silence(tmp_path, files, recwarn):
    assert newest_checkpoint(tmp_path) == files["last"]
    assert not recwarn


@pytest.mark.parametrize("damage", [cut, empty, flip])
def test_the_one_before_stands_in_for_a_damaged_one(tmp_path, files, damage):
    damage(files["last"])
    with pytest.warns(UserWarning, match=r"Taking .*previous.ckpt, of 64 images, because .*last"):
        assert newest_checkpoint(tmp_path) == files["previous"]
    damage(files["previous"])
    with pytest.warns(UserWarning, match="Taking .*best.ckpt, of 32 images"):
        assert newest_checkpoint(tmp_path) == files["best"]
    damage(files["best"])
    with pytest.raises(
        ValueError, match=r"ckpt_path last must find a whole checkpoint in .*, got none"
    ):
        newest_checkpoint(tmp_path)


def test_a_missing_last_is_said(tmp_path, files):
    files["last"].unlink()
    with pytest.warns(UserWarning, match=r"because there is no .*last.ckpt"):
        assert newest_checkpoint(tmp_path) == files["previous"]


@pytest.mark.parametrize(("batches", "chosen"), [(20, "hpc_ckpt_1.ckpt"), (2, "last.ckpt")])
def test_progress_decides_whoever_wrote_the_file(tmp_path, files, batches, chosen, recwarn):
    write(tmp_path / "hpc_ckpt_1.ckpt", batches)
    assert newest_checkpoint(tmp_path).name == chosen


def test_a_folder_without_checkpoints_has_none(tmp_path):
    assert newest_checkpoint(tmp_path) is None
