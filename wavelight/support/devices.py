"""The device that a command works on."""

import torch


def find_device(name: str | None) -> torch.device:
    """Return a device, with its number, which CUDA asks for.

    Args:
        name: Such as cpu, cuda, cuda:1, mps; none takes a GPU if there is one.

    Raises:
        ValueError: If there is no such device.
    """
    wanted = name or torch.accelerator.current_accelerator(check_available=True) or "cpu"
    try:
        return torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {name!r} is not available on this machine") from error
