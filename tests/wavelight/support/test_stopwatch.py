from functools import partial

import pytest
import torch

from wavelight.support import stopwatch
from wavelight.support.stopwatch import clock, mean_seconds, seconds_of

CPU = torch.device("cpu")


@pytest.fixture
def readings(monkeypatch):
    """Lets the clock show what a test puts into this list."""
    shown: list[float] = []
    monkeypatch.setattr(stopwatch, "perf_counter", lambda: shown.pop(0))
    return shown


def test_one_call_is_one_call(readings):
    readings += [10.0, 16.0]
    calls: list[int] = []
    assert seconds_of(CPU, partial(calls.append, 0)) == 6
    assert calls == [0]


def test_the_mean_is_of_the_calls_after_the_warm_up(readings):
    readings += [0.0, 5.0, 10.0, 16.0]
    calls: list[int] = []
    assert mean_seconds(CPU, partial(calls.append, 0), 3) == 2
    assert len(calls) == 2 + 3


def test_the_threads_are_those_of_the_caller():
    seen = set()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        mean_seconds(CPU, lambda: seen.add(torch.get_num_threads()), 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == {2}


def test_the_clock_waits_for_its_device(monkeypatch, readings):
    readings += [7.0]
    waited = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    assert clock(torch.device("cuda", 3)) == 7
    assert waited == [torch.device("cuda", 3)]
