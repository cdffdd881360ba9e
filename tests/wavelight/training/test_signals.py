"""Signals: noted, agreed on at the end of a batch, and answered by a saved run."""

import os
import signal
import time
from contextlib import suppress
from types import SimpleNamespace

import lightning as L
import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException

from tests.runs import StopAt, assert_same_run, fit, last
from tests.tiny import BATCHES_AN_EPOCH, tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import BestCheckpoint
from wavelight.training import slurm
from wavelight.training.signals import STOPPING, Signals, StoppedAtOnceError
from wavelight.training.trainer import Trainer


class Raise(L.Callback):
    """Sends a signal in one hook of the callbacks, the first time or at one time."""

    def __init__(self, hook, signum=signal.SIGTERM, time=1):
        self.left = time
        self.signum = signum
        setattr(self, hook, self._raise)

    def _raise(self, *arguments, **more):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.signum)


class Score(L.Callback):
    """Logs a score, and counts the validations that end."""

    def __init__(self):
        self.ended = 0

    def on_validation_epoch_end(self, trainer, pl_module):
        self.ended += 1
        pl_module.log("val/score", float(pl_module.batches_seen))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    fit(folder)
    return last(folder)


def stopped(folder, *callbacks, **changes):
    with pytest.raises(SIGTERMException):
        fit(folder, *callbacks, **changes)


@pytest.mark.parametrize("signum", STOPPING)
def test_each_signal_stops_at_the_end_of_a_batch_and_loses_nothing(tmp_path, whole, signum):
    stopped(tmp_path, StopAt(6, signum))
    assert last(tmp_path)["wavelight_progress"]["batches_seen"] == 6
    fit(tmp_path, ckpt_path="last")
    assert_same_run(whole, last(tmp_path))


def test_handlers_are_given_back(tmp_path):
    before = [signal.getsignal(each) for each in STOPPING]
    fit(tmp_path, max_epochs=1)
    stopped(tmp_path / "stopped", StopAt(1, signal.SIGTERM))
    assert [signal.getsignal(each) for each in STOPPING] == before


def test_before_training_a_signal_ends_the_process_at_once(tmp_path):
    with pytest.raises(StoppedAtOnceError, match="Stopped by SIGTERM; there was nothing to save"):
        fit(tmp_path, Raise("setup"))
    assert not list(tmp_path.rglob("*.ckpt"))


def test_sampling_ends_at_once(tmp_path):
    trainer = Trainer(accelerator="cpu", callbacks=[Raise("on_predict_batch_start")], logger=False)
    with pytest.raises(StoppedAtOnceError):
        trainer.predict(tiny_system(), images=2, out=tmp_path / "out")


@pytest.mark.parametrize("between", [0.0, 2.0])
def test_ctrl_c_again_is_impatient_unless_a_launcher_passed_it_on(monkeypatch, between):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    signals = Signals(SimpleNamespace(strategy=SimpleNamespace(launcher=None)))
    signals.register_signal_handlers()
    signals.wait_for_batches(True)
    try:
        signal.raise_signal(signal.SIGINT)
        now[0] = between
        if between:
            with pytest.raises(StoppedAtOnceError):
                signal.raise_signal(signal.SIGINT)
        else:
            signal.raise_signal(signal.SIGINT)
    finally:
        signals.teardown()


def test_forked_processes_do_not_answer(monkeypatch):
    signals = Signals(SimpleNamespace(strategy=SimpleNamespace(launcher=None)))
    signals.register_signal_handlers()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signals.teardown()
    assert not signals.noted


def evaluated(folder, *callbacks, **changes):
    """Fit with an evaluation of 3 batches every other epoch."""
    options = {"max_epochs": 4, "limit_val_batches": 3, "check_val_every_n_epoch": 2}
    score = Score()
    data = tiny_data(val_images=12)
    with suppress(SIGTERMException):
        fit(
            folder,
            score,
            BestCheckpoint("val/score", "max"),
            *callbacks,
            data=data,
            **(options | changes),
        )
    return score


@pytest.mark.parametrize(
    "moment",
    [
        ("on_validation_batch_start", 2),
        ("on_validation_start", 1),
        ("on_train_batch_end", 2 * BATCHES_AN_EPOCH),
    ],
)
def test_an_evaluation_that_was_cut_short_is_made_first(tmp_path, moment):
    hook, number = moment
    whole = evaluated(tmp_path / "whole")
    first = evaluated(tmp_path / "cut", Raise(hook, time=number))
    assert first.ended == 0
    assert last(tmp_path / "cut")["wavelight_progress"] == {
        "images_seen": 64,
        "batches_seen": 8,
        "epochs_seen": 1,
        "skipped_steps": 0,
    }
    second = evaluated(tmp_path / "cut", ckpt_path="last")
    assert second.ended == whole.ended == 2
    one, two = last(tmp_path / "whole"), last(tmp_path / "cut")
    assert_same_run(one, two)
    assert one["callbacks"]["BestCheckpoint"] == two["callbacks"]["BestCheckpoint"]


@pytest.mark.parametrize(
    ("hook", "time"),
    [
        ("on_validation_batch_start", 2),
        ("on_validation_batch_end", 3),
        ("on_validation_start", 3),
        ("on_train_batch_end", 2),
        ("on_train_batch_end", 6),
    ],
)
@pytest.mark.parametrize("every_n_batches", [None, 2])
def test_an_evaluation_inside_an_epoch_that_was_cut_short_is_made_first(
    tmp_path, hook, time, every_n_batches
):
    often = {"val_check_interval": 2, "check_val_every_n_epoch": 1, "max_epochs": 2}
    often["every_n_batches"] = every_n_batches
    whole = evaluated(tmp_path / "whole", **often)
    first = evaluated(tmp_path / "cut", Raise(hook, time=time), **often)
    second = evaluated(tmp_path / "cut", ckpt_path="last", **often)
    assert first.ended + second.ended == whole.ended == 4
    one, two = last(tmp_path / "whole"), last(tmp_path / "cut")
    assert_same_run(one, two)
    assert one["callbacks"]["BestCheckpoint"] == two["callbacks"]["BestCheckpoint"]


@pytest.mark.parametrize("every_n_batches", [None, BATCHES_AN_EPOCH])
def test_the_end_of_an_epoch_without_an_evaluation_is_made_too(tmp_path, whole, every_n_batches):
    """Its schedule moves on once, whether the run was stopped by its last batch or killed behind it."""
    stopped(
        tmp_path,
        Raise("on_train_batch_end", time=BATCHES_AN_EPOCH),
        every_n_batches=every_n_batches,
    )
    fit(tmp_path, ckpt_path="last")
    assert_same_run(whole, last(tmp_path))


@pytest.mark.parametrize("command", [True, False])
def test_a_command_that_was_stopped_ignores_further_signals_but_ctrl_c(tmp_path, command):
    trainer = tiny_trainer(tmp_path, StopAt(1, signal.SIGUSR1))
    trainer.signals.ends_process = command
    before = [signal.getsignal(each) for each in STOPPING]
    with pytest.raises(SIGTERMException):
        trainer.fit(tiny_system(), datamodule=tiny_data())
    now = [signal.getsignal(each) for each in STOPPING]
    expected = [
        signal.SIG_IGN if command and each != signal.SIGINT else handler
        for each, handler in zip(STOPPING, before, strict=True)
    ]
    assert now == expected


def test_a_command_that_came_to_its_end_ignores_nothing(tmp_path):
    trainer = tiny_trainer(tmp_path, max_epochs=1)
    trainer.signals.ends_process = True
    before = [signal.getsignal(each) for each in STOPPING]
    trainer.fit(tiny_system(), datamodule=tiny_data())
    assert [signal.getsignal(each) for each in STOPPING] == before


def test_slurm_requeues_when_the_folder_is_free_again(tmp_path, monkeypatch, scontrol):
    locks = []
    real = slurm.subprocess.run

    def requeue(words, **options):
        if words[0] == "scontrol":
            locks.append((tmp_path / "run.lock").exists())
        return real(words, **options)

    monkeypatch.setattr(slurm.subprocess, "run", requeue)
    stopped(tmp_path, StopAt(1, signal.SIGUSR1))
    assert scontrol == [["scontrol", "requeue", "17"]]
    assert locks == [False]


class Killed(BaseException):
    """In place of SIGKILL: nothing is saved."""


class Kill(L.Callback):
    def on_validation_start(self, trainer, pl_module):
        raise Killed


def test_a_run_killed_while_it_evaluates_makes_the_evaluation_first(tmp_path):
    whole = evaluated(tmp_path / "whole")
    with pytest.raises(Killed):
        evaluated(tmp_path / "cut", Kill(), every_n_batches=BATCHES_AN_EPOCH)
    assert evaluated(tmp_path / "cut", ckpt_path="last").ended == whole.ended
    assert_same_run(last(tmp_path / "whole"), last(tmp_path / "cut"))


def test_max_time_stops_as_a_signal_does_and_drops_nothing(tmp_path, whole):
    class Slow(L.Callback):
        def on_train_batch_start(self, *arguments):
            time.sleep(0.05)

    trainer = tiny_trainer(tmp_path, Slow(), max_time={"milliseconds": 60})
    with pytest.raises(SIGTERMException):
        trainer.fit(tiny_system(), datamodule=tiny_data())
    assert trainer.signals.signal_number is None
    assert 0 < last(tmp_path)["wavelight_progress"]["batches_seen"] < 3 * BATCHES_AN_EPOCH
    fit(tmp_path, ckpt_path="last")
    assert_same_run(whole, last(tmp_path))


@pytest.fixture
def scontrol(monkeypatch):
    """Stand in for SLURM, and return what it was told."""
    told = []
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_NAME", "church")
    done = SimpleNamespace(returncode=0, stderr="")
    real = slurm.subprocess.run

    def run(words, **options):
        if words[0] != "scontrol":
            return real(words, **options)
        told.append(words)
        return done

    monkeypatch.setattr(slurm.subprocess, "run", run)
    return told


@pytest.mark.parametrize(
    ("number", "array", "expected"),
    [
        (signal.SIGUSR1, {}, [["scontrol", "requeue", "17"]]),
        (
            signal.SIGUSR1,
            {"SLURM_ARRAY_JOB_ID": "16", "SLURM_ARRAY_TASK_ID": "2"},
            [["scontrol", "requeue", "16_2"]],
        ),
        (signal.SIGTERM, {}, []),
        (None, {}, []),
    ],
)
def test_slurms_warning_puts_the_job_back_into_the_queue(
    monkeypatch, scontrol, number, array, expected
):
    for name, value in array.items():
        monkeypatch.setenv(name, value)
    slurm.requeue_after(number, SimpleNamespace(cluster_environment=None))
    assert scontrol == expected


def test_outside_slurm_nothing_is_requeued(monkeypatch):
    monkeypatch.delenv("SLURM_NTASKS", raising=False)
    monkeypatch.setattr(slurm.subprocess, "run", pytest.fail)
    slurm.requeue_after(signal.SIGUSR1, SimpleNamespace())
