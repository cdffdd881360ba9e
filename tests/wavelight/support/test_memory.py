"""Commands that sample keep their memory; training gives it back."""

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from wavelight import __main__, commands
from wavelight.support import memory
from wavelight.support.memory import keep_memory

HAS_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt")

FAULTS = """
import ctypes, resource
from wavelight.support.memory import keep_memory
{first}
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(64 << 20)
    libc.memset(block, 1, 64 << 20)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.fixture(autouse=True)
def the_environment_as_it_was(monkeypatch):
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "")
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")


@pytest.fixture
def allocator(monkeypatch):
    """A stand-in for glibc, so that the process of the tests keeps its defaults."""
    calls = []
    library = SimpleNamespace(mallopt=lambda option, value: calls.append((option, value)) or 1)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(memory.sys, "platform", "linux")
    return calls


def test_big_tensors_are_kept_and_in_huge_pages(allocator):
    keep_memory()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    assert allocator == [(-4, 0), (-1, 2**31 - 1)]


def test_twice_is_as_good_as_once(allocator):
    keep_memory()
    keep_memory()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    assert allocator[:2] == allocator[2:]


def test_the_users_choice_of_pages_stays(allocator, monkeypatch):
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    keep_memory()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"


def test_another_c_library_is_no_error(allocator, monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_memory()
    assert allocator == []


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_left_alone(allocator, monkeypatch, platform):
    monkeypatch.setattr(memory.sys, "platform", platform)
    keep_memory()
    assert allocator == []
    assert "THP_MEM_ALLOC_ENABLE" not in os.environ


@pytest.mark.skipif(not HAS_GLIBC, reason="needs glibc")
def test_memory_is_not_faulted_in_again():
    def faults(first):
        command = [sys.executable, "-c", FAULTS.format(first=first)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    pages = (64 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert faults("keep_memory()") < pages / 100
    assert faults("") > pages / 2


@pytest.mark.parametrize(
    ("command", "keeps"),
    [
        *((command, True) for command in ("predict", "sample", "time", "benchmark")),
        *((command, False) for command in ("fit", "validate", "test", "export", "--help")),
    ],
)
def test_commands_that_draw_keep_memory_before_they_are_imported(monkeypatch, command, keeps):
    events = []

    def load(module):
        events.append(module)
        raise SystemExit

    monkeypatch.setattr(__main__, "keep_memory", lambda: events.append("kept"))
    monkeypatch.setattr(commands, "import_module", load)
    if command == "--help":
        __main__.main([command])
    else:
        with pytest.raises(SystemExit):
            __main__.main([command])
    assert ("kept" in events) is keeps
    assert not keeps or events[0] == "kept"
