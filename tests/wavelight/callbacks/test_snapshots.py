import pytest

from tests.runs import assert_same_run, fit, last
from wavelight.callbacks import Snapshots
from wavelight.training.trainer import Trainer
from wavelight.weights import read_checkpoint


def test_they_are_kept_every_so_many_images(tmp_path):
    fit(tmp_path, Snapshots(20), max_epochs=2)
    paths = sorted((tmp_path / "checkpoints").glob("images_*.ckpt"))
    # At the end of the batches of 8 that complete 20, 40 and 60 images.
    assert [path.stem for path in paths] == [f"images_{seen:010d}" for seen in (24, 40, 64)]
    for path in paths:
        assert read_checkpoint(path)["wavelight_progress"]["images_seen"] == int(path.stem[7:])


def test_a_run_goes_on_from_one(tmp_path):
    fit(tmp_path / "whole", Snapshots(24), max_epochs=2)
    path = tmp_path / "whole" / "checkpoints" / "images_0000000024.ckpt"
    fit(tmp_path / "again", max_epochs=2, ckpt_path=str(path))
    assert_same_run(last(tmp_path / "whole"), last(tmp_path / "again"))


def test_a_full_disk_is_told_and_trained_on(tmp_path, monkeypatch):
    real = Trainer.save_checkpoint

    def save(trainer, path, **options):
        if "images_" in str(path):
            raise OSError(28, "No space left on device")
        real(trainer, path, **options)

    monkeypatch.setattr(Trainer, "save_checkpoint", save)
    with pytest.warns(UserWarning, match="No space left on device; training goes on"):
        fit(tmp_path, Snapshots(20), max_epochs=2)
    assert last(tmp_path)["wavelight_progress"]["images_seen"] == 64


def test_none_are_kept_by_default(tmp_path):
    fit(tmp_path, Snapshots(), max_epochs=1)
    assert not list((tmp_path / "checkpoints").glob("images_*"))


def test_fewer_than_an_image_is_refused():
    with pytest.raises(ValueError, match=r"snapshots.every_n_images must be at least 1, got 0"):
        Snapshots(0)
