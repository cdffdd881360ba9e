"""One thread a test, for two test processes on two cores."""

import builtins
import signal
import sys
from collections.abc import Iterator

import pytest
import torch

from wavelight.training.signals import STOPPING


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_signals():
    """Let no command that was stopped in a test leave signals ignored behind it."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run the test with this number of PyTorch's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let matplotlib be missing."""
    real = builtins.__import__

    def without(name, *arguments):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)


@pytest.fixture
def payloads(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Things to name in a configuration that run code."""
    from tests.payloads import PACKAGE, Payloads

    found = Payloads(tmp_path)
    monkeypatch.syspath_prepend(found.path)
    yield found
    sys.modules.pop(PACKAGE, None)
