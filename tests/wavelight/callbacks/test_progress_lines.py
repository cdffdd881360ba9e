import io

import lightning as L
import pytest

from tests.tiny import BATCHES_AN_EPOCH, tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import ProgressLines, progress_lines


class Clock:
    """Stands still."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


class Slow(L.Callback):
    """Lets a batch of training take ten seconds of a clock, and one of an evaluation a hundred."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_batch_start(self, *rest):
        self.clock.now += 10

    def on_validation_batch_start(self, *rest):
        self.clock.now += 100


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress_lines, "time", clock)
    return clock


def lines(text):
    return [line for line in text.splitlines() if " left" in line]


def test_training_says_how_far_it_is_how_fast_and_when_it_ends(tmp_path, clock, capsys):
    trainer = tiny_trainer(tmp_path, ProgressLines(20), Slow(clock), max_epochs=2)
    trainer.fit(tiny_system(), datamodule=tiny_data())

    assert BATCHES_AN_EPOCH == 4
    assert lines(capsys.readouterr().err) == [
        "epoch 1 of 2, 16 images, 0.8 images/s, 0:01:00 left",
        "epoch 1 of 2, 32 images, 0.8 images/s, 0:00:40 left",
        "epoch 2 of 2, 48 images, 0.8 images/s, 0:00:20 left",
        "epoch 2 of 2, 64 images, 0.8 images/s, 0:00:00 left",
    ]


def test_evaluations_take_time_but_are_not_in_the_rate(tmp_path, clock, capsys):
    trainer = tiny_trainer(
        tmp_path, ProgressLines(30), Slow(clock), max_epochs=2, limit_val_batches=1
    )
    trainer.fit(tiny_system(), datamodule=tiny_data())

    assert lines(capsys.readouterr().err) == [
        "epoch 1 of 2, 24 images, 0.8 images/s, 0:00:50 left",
        "validation batch 1 of 1, 0:00:00 left",
        "epoch 2 of 2, 56 images, 0.8 images/s, 0:00:24 left",
        "validation batch 1 of 1, 0:00:00 left",
    ]


def test_a_run_that_goes_on_counts_what_is_left(tmp_path, clock, capsys):
    tiny_trainer(tmp_path, max_epochs=1).fit(tiny_system(), datamodule=tiny_data())
    capsys.readouterr()
    trainer = tiny_trainer(tmp_path, ProgressLines(20), Slow(clock), max_epochs=3)
    trainer.fit(tiny_system(), datamodule=tiny_data(), ckpt_path="last")

    first = lines(capsys.readouterr().err)[0]
    assert first == "epoch 2 of 3, 48 images, 0.8 images/s, 0:01:00 left"


@pytest.mark.parametrize("method", ["validate", "test"])
def test_measuring_says_how_far_it_is(tmp_path, clock, capsys, method):
    tiny_trainer(tmp_path, max_epochs=1).fit(tiny_system(), datamodule=tiny_data())
    capsys.readouterr()
    trainer = tiny_trainer(tmp_path, ProgressLines(0), limit_val_batches=1, limit_test_batches=1)
    getattr(trainer, method)(tiny_system(), datamodule=tiny_data(test_images=4))

    name = {"validate": "validation", "test": "test"}[method]
    assert lines(capsys.readouterr().err) == [f"{name} batch 1 of 1, 0:00:00 left"]


def test_sampling_says_how_far_it_is(tmp_path, clock, capsys):
    trainer = tiny_trainer(tmp_path, ProgressLines(0))
    trainer.predict(tiny_system(), images=8, batch_size=4, out=tmp_path / "generated")

    assert lines(capsys.readouterr().err) == [
        "sampling batch 1 of 2, 0:00:00 left",
        "sampling batch 2 of 2, 0:00:00 left",
    ]


def test_a_terminal_has_a_bar_instead(tmp_path, clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    trainer = tiny_trainer(tmp_path, ProgressLines(0), Slow(clock), max_epochs=1)
    trainer.fit(tiny_system(), datamodule=tiny_data())
    assert not lines(terminal.getvalue())


def test_no_lines_if_none_are_wanted(tmp_path, clock, capsys):
    trainer = tiny_trainer(tmp_path, ProgressLines(None), Slow(clock), max_epochs=1)
    trainer.fit(tiny_system(), datamodule=tiny_data())
    assert not lines(capsys.readouterr().err)


def test_seconds_are_not_negative():
    with pytest.raises(ValueError, match="at least 0, got -1"):
        ProgressLines(-1)
