import lightning as L
import pytest
import torch

from tests.tiny import tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import BestCheckpoint
from wavelight.weights import read_checkpoint


class Score(L.Callback):
    """Logs the scores it is told, one a validation."""

    def __init__(self, *scores):
        self.scores = list(scores)

    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("val/score", self.scores.pop(0))


def fit(folder, *callbacks, **changes):
    trainer = tiny_trainer(folder, *callbacks, limit_val_batches=1, **changes)
    trainer.fit(tiny_system(), datamodule=tiny_data(), ckpt_path=changes.pop("ckpt_path", None))


def test_best_and_last_are_what_they_say(tmp_path):
    fit(tmp_path, Score(3.0, 1.0, 2.0), BestCheckpoint("val/score"))
    folder = tmp_path / "checkpoints"
    files = ["best.ckpt", "last.ckpt", "previous.ckpt"]
    assert sorted(path.name for path in folder.iterdir()) == files
    assert read_checkpoint(folder / "best.ckpt")["wavelight_progress"]["batches_seen"] == 8
    assert read_checkpoint(folder / "last.ckpt")["wavelight_progress"]["batches_seen"] == 12
    assert read_checkpoint(folder / "previous.ckpt")["wavelight_progress"]["batches_seen"] == 8


def test_an_old_score_does_not_save_again(tmp_path):
    fit(tmp_path, Score(1.0), BestCheckpoint("val/score"), check_val_every_n_epoch=2)
    best = read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert best["wavelight_progress"]["batches_seen"] == 8


def test_a_run_goes_on_from_its_best_as_if_never_stopped(tmp_path):
    fit(tmp_path / "whole", Score(1.0, 2.0, 3.0), BestCheckpoint("val/score"))
    trainer = tiny_trainer(tmp_path / "again", Score(2.0, 3.0), limit_val_batches=1)
    best = tmp_path / "whole" / "checkpoints" / "best.ckpt"
    trainer.fit(tiny_system(), datamodule=tiny_data(), ckpt_path=str(best))
    one, two = (
        read_checkpoint(tmp_path / run / "checkpoints" / "last.ckpt") for run in ("whole", "again")
    )
    assert one["wavelight_progress"] == two["wavelight_progress"]
    assert all(
        torch.equal(one["state_dict"][name], two["state_dict"][name]) for name in one["state_dict"]
    )


TWICE_AN_EPOCH = {"val_check_interval": 2, "max_epochs": 2}


@pytest.mark.parametrize(
    ("scores", "batches"),
    [((1.0, 2.0, 3.0, 4.0), 2), ((3.0, 1.0, 2.0, 4.0), 4), ((4.0, 3.0, 1.0, 2.0), 6)],
)
def test_the_best_holds_the_weights_that_were_measured_and_a_run_goes_on_from_it(
    tmp_path, scores, batches
):
    seen = Score(*scores)
    fit(tmp_path / "whole", seen, BestCheckpoint("val/score"), **TWICE_AN_EPOCH)
    best = tmp_path / "whole" / "checkpoints" / "best.ckpt"
    assert read_checkpoint(best)["wavelight_progress"]["batches_seen"] == batches
    left = Score(*scores[batches // 2 :])
    trainer = tiny_trainer(tmp_path / "again", left, limit_val_batches=1, **TWICE_AN_EPOCH)
    trainer.fit(tiny_system(), datamodule=tiny_data(), ckpt_path=str(best))
    # Each evaluation that was left, and none twice.
    assert left.scores == []
    one, two = (
        read_checkpoint(tmp_path / run / "checkpoints" / "last.ckpt") for run in ("whole", "again")
    )
    assert one["wavelight_progress"] == two["wavelight_progress"]
    assert all(
        torch.equal(one["state_dict"][name], two["state_dict"][name]) for name in one["state_dict"]
    )


def test_an_epoch_that_is_not_evaluated_at_its_end_is_not_saved_for_an_old_score(tmp_path):
    fit(tmp_path, Score(1.0), BestCheckpoint("val/score"), val_check_interval=3, max_epochs=1)
    best = read_checkpoint(tmp_path / "checkpoints" / "best.ckpt")
    assert best["wavelight_progress"]["batches_seen"] == 3


def test_nothing_is_written_in_a_dry_run(tmp_path):
    fit(tmp_path, fast_dev_run=1)
    assert not (tmp_path / "checkpoints").exists()


def test_a_run_that_goes_on_elsewhere_remembers_its_best(tmp_path):
    """The best of the very last epoch, too, and in a folder that was moved."""
    fit(tmp_path / "here", Score(3.0), BestCheckpoint("val/score", "max"), max_epochs=1)
    moved = (tmp_path / "here").rename(tmp_path / "there")
    best = (moved / "checkpoints" / "best.ckpt").read_bytes()
    trainer = tiny_trainer(
        moved, Score(1.0, 2.0), BestCheckpoint("val/score", "max"), limit_val_batches=1
    )
    trainer.fit(tiny_system(), datamodule=tiny_data(), ckpt_path="last")
    assert (moved / "checkpoints" / "best.ckpt").read_bytes() == best
    state = read_checkpoint(moved / "checkpoints" / "last.ckpt")["callbacks"]["BestCheckpoint"]
    assert state == {"monitor": "val/score", "best": 3.0}


def test_last_is_saved_behind_the_best_whatever_the_order(tmp_path):
    trainer = tiny_trainer(tmp_path, BestCheckpoint("val/score"), Score(1.0))
    assert [type(each).__name__ for each in trainer.callbacks[-2:]] == [
        "LastCheckpoint",
        "StopAtBatchEnd",
    ]


def test_a_metric_that_nobody_measures_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"best.monitor must be a metric .* got val/fid; measured were: val/score"
    ):
        fit(tmp_path, Score(1.0), BestCheckpoint("val/fid"))


def test_what_killed_processes_left_is_removed(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    left = tmp_path / "checkpoints" / ".last.ckpt.17.abc.part"
    left.write_bytes(b"half")
    fit(tmp_path, Score(1.0), max_epochs=1)
    assert not left.exists()
