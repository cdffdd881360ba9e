"""Weights in files: which ones a checkpoint holds, and how they are read and written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TRAINING_KEY = "wavelight_training_weights"
"""Where a checkpoint keeps the weights that go on learning, beside the averaged ones of its ``state_dict``."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, unpickling nothing but tensors and plain values.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no checkpoint, or is cut short.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a checkpoint; it is damaged or something else") from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path} holds a {type(checkpoint).__name__} where a checkpoint has named parts")
    return checkpoint


def state_of(checkpoint: Mapping[str, Any], averaged: bool = True) -> dict[str, Tensor]:
    """Return the state dict of a wavelight checkpoint.

    Args:
        checkpoint: As :func:`read_checkpoint` returns it.
        averaged: Whether the networks that draw images get their averaged weights, not those that were learning.

    Raises:
        ValueError: If it is no checkpoint of wavelight.
    """
    if "state_dict" not in checkpoint:
        raise ValueError("this file is no checkpoint of wavelight: it has no state_dict")
    state = dict(checkpoint["state_dict"])
    return state if averaged else state | checkpoint.get(TRAINING_KEY, {})


def write_safetensors(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write weights as safetensors, under a temporary name first, so that no half-written file is left.

    Args:
        path: The file.
        state: The weights.
        metadata: Texts that go into the file's header.
    """
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary, dict(metadata))
    temporary.replace(path)
