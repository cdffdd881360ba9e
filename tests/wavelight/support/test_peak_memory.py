"""The peak of a process's memory is the kernel's, in bytes."""

import re
from pathlib import Path

import pytest
import torch

from wavelight.support.peak_memory import peak_memory


def test_the_peak_is_what_the_kernel_says():
    found = peak_memory(torch.device("cpu"))
    kilobytes = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
    assert found == pytest.approx(1024 * kilobytes, rel=0.05)
