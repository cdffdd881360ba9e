"""Checkpoints come to the disk whole, or the one before stays."""

import errno
import os

import lightning as L
import pytest
import torch

from tests.runs import fit, last
from wavelight import weights
from wavelight.training.checkpoint_io import UnsavedError, WholeCheckpointIO
from wavelight.weights import read_checkpoint


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_nothing_goes_through_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    WholeCheckpointIO().save_checkpoint({"state_dict": {}}, tmp_path / "last.ckpt")
    assert names(tmp_path) == ["last.ckpt"]


def test_the_one_before_is_kept_beside_last_alone(tmp_path):
    io = WholeCheckpointIO()
    for number in range(3):
        for name in ("last.ckpt", "best.ckpt"):
            io.save_checkpoint({"number": number}, tmp_path / name)
    assert names(tmp_path) == ["best.ckpt", "last.ckpt", "previous.ckpt"]
    assert read_checkpoint(tmp_path / "previous.ckpt") == {"number": 1}
    assert read_checkpoint(tmp_path / "last.ckpt") == {"number": 2}


def test_without_hard_links_the_one_before_is_kept_too(tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(errno.EPERM, "no hard links")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    io = WholeCheckpointIO()
    for number in range(2):
        io.save_checkpoint({"number": number}, tmp_path / "last.ckpt")
    assert names(tmp_path) == ["last.ckpt", "previous.ckpt"]
    assert read_checkpoint(tmp_path / "previous.ckpt") == {"number": 0}


class Disk:
    """Lets writing fail between two times."""

    def __init__(self, monkeypatch):
        self.full = False
        real = torch.save

        def save(content, file):
            real(content, file)
            if self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(weights.torch, "save", save)


def test_a_full_disk_leaves_the_one_before(tmp_path, monkeypatch):
    disk, io = Disk(monkeypatch), WholeCheckpointIO()
    io.save_checkpoint({"number": 0}, tmp_path / "last.ckpt")
    disk.full = True
    io.save_checkpoint({"number": 1}, tmp_path / "last.ckpt")
    assert "last.ckpt could not be written: [Errno 28] No space left" in io.take_failure()
    assert names(tmp_path) == ["last.ckpt"]
    assert read_checkpoint(tmp_path / "last.ckpt") == {"number": 0}


def test_what_cannot_be_read_back_replaces_nothing(tmp_path, monkeypatch):
    io = WholeCheckpointIO()
    io.save_checkpoint({"number": 0}, tmp_path / "last.ckpt")
    monkeypatch.setattr(weights.torch, "save", lambda content, file: file.write(b"half"))
    io.save_checkpoint({"number": 1}, tmp_path / "last.ckpt")
    assert "could not be written" in io.take_failure()
    assert read_checkpoint(tmp_path / "last.ckpt") == {"number": 0}


def test_training_goes_on_over_a_full_disk_that_is_emptied(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)

    class FillFor(L.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            disk.full = trainer.current_epoch == 1

    with pytest.warns(UserWarning, match="No space left.*; training goes on, and tries again"):
        fit(tmp_path, FillFor())
    assert last(tmp_path)["wavelight_progress"]["epochs_seen"] == 3


def test_a_disk_that_is_full_at_the_end_is_an_error(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    disk.full = True
    with (
        pytest.warns(UserWarning, match="No space left"),
        pytest.raises(UnsavedError, match="No space left"),
    ):
        fit(tmp_path, max_epochs=1)


def test_a_flipped_bit_is_seen(tmp_path):
    path = tmp_path / "x.ckpt"
    weights.write_checkpoint(path, {"state_dict": {"w": torch.arange(1000.0)}})
    content = bytearray(path.read_bytes())
    place = content.index(torch.arange(1000.0).numpy().tobytes()[400:440])
    content[place + 7] ^= 64
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"x.ckpt is damaged: .*/data/0 in it does not have the checksum"
    ):
        read_checkpoint(path)
