"""How a process that samples on a CPU gets the memory of its tensors: kept, and in huge pages."""

import ctypes
import os
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

_LARGEST_INT = 2**31 - 1


def keep_memory() -> None:
    """Let memory that was freed stay with the process, and let big tensors lie in huge pages.

    By default glibc gives every tensor of more than 32 MB back to the kernel as soon as it is
    freed, and the next one of its size is faulted in page by page, 4 KB each: elementwise
    operations on such tensors then take several times as long. The price is that the process holds
    the most that it ever needed until it ends, and about a tenth more.

    To be called before PyTorch allocates its first tensor, which is when it reads the environment.
    A value that is already set there stays. Only Linux with glibc is changed.
    """
    if sys.platform != "linux":
        return
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library, such as musl
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT)
