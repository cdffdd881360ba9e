"""The most memory that a process has held."""

import resource
import sys

import torch


def peak_memory(device: torch.device) -> int:
    """Return the peak in bytes: of a GPU's tensors since its statistics were reset, else of the process since it began.

    Args:
        device: Where the process calculates.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
