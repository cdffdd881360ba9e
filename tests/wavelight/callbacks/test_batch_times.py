"""The time of sampling leaves out the first batch and what other callbacks do with a batch."""

from types import SimpleNamespace

import pytest
import torch

from wavelight.callbacks import batch_times
from wavelight.callbacks.batch_times import BatchTimes

SYSTEM = SimpleNamespace(device=torch.device("cpu"))


@pytest.fixture
def now(monkeypatch):
    """A clock that a test sets."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(batch_times, "clock", lambda device: now.seconds)
    return now


def sampled(times, stage, images, seconds, now):
    getattr(times, f"on_{stage}_batch_start")(None, SYSTEM, None, 0)
    now.seconds += seconds
    getattr(times, f"on_{stage}_batch_end")(
        None, SYSTEM, {"image": torch.empty(images, 1)}, None, 0
    )
    # Metrics.
    now.seconds += 100.0


@pytest.mark.parametrize("stage", ["validation", "test"])
def test_the_first_batch_warms_up(stage, now):
    times = BatchTimes()
    getattr(times, f"on_{stage}_start")(None, SYSTEM)
    sampled(times, stage, 4, 50.0, now)
    assert times.milliseconds == 50e3 / 4
    sampled(times, stage, 4, 1.0, now)
    sampled(times, stage, 2, 0.8, now)
    assert times.milliseconds == pytest.approx(1e3 * 1.8 / 6)
    assert times.images == 10
    getattr(times, f"on_{stage}_start")(None, SYSTEM)
    assert times.images == times.peak_memory == 0


def test_the_peak_of_the_memory_is_that_of_all_batches(monkeypatch, now):
    times = BatchTimes()
    times.on_test_start(None, SYSTEM)
    for peak in (3, 7, 5):
        monkeypatch.setattr(batch_times, "peak_memory", lambda device, peak=peak: peak)
        sampled(times, "test", 1, 1.0, now)
    assert times.peak_memory == 7
