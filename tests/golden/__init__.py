"""The recipe of the golden numbers: weights and inputs that anyone can sample again."""

from pathlib import Path
from typing import TypeVar
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from wavelight.networks.published import load_published, published_state

GOLDEN = Path(__file__).parent

Network = TypeVar("Network", bound=nn.Module)

NARROW = {"width": 32, "multipliers": [1, 2], "attention_resolutions": [4], "mapping_layers": 1}
"""A generator that is quick to run and has every kind of part."""


def golden_file(name: str) -> Path:
    """Return the path of a golden file."""
    return GOLDEN / name


def normal(seed: int, *shape: int) -> Tensor:
    """Sample standard normal numbers."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def filled(network: Network) -> Network:
    """Give a network weights that are functions of their published names."""
    state = {
        name: _weight(name, tuple(old.shape)) for name, old in published_state(network).items()
    }
    load_published(network, state)
    return network


def _weight(name: str, shape: tuple[int, ...]) -> Tensor:
    generated = np.random.default_rng(crc32(name.encode())).standard_normal(shape)
    if name.endswith(".style.bias"):
        generated = 0.1 * generated + (np.arange(len(generated)) < len(generated) // 2)
    elif len(shape) == 1:
        generated = 0.1 * generated + name.endswith(".weight")
    elif name.endswith(".W"):
        generated = generated / np.sqrt(shape[0])
    else:
        generated = generated / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(generated.astype(np.float32))
