"""Faster sampling from a network that no longer learns."""

from typing import Any

import torch
from torch import Tensor, nn

from wavelight.support.private_names import inductor_options


class Compiled(nn.Module):
    """A network compiled for sampling on a CPU, its weights laid out once for their kernels.

    The first call with inputs of a new shape compiles, which takes half a minute or more. Weights
    that change after it are not seen: make a new one.

    Args:
        network: The network; its outputs are the same to rounding.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.compiled = torch.compile(network, dynamic=False)

    @torch.no_grad()
    def forward(self, *inputs: Any) -> Tensor:
        """Evaluate the network, compiled."""
        with inductor_options(freezing=True, cpp_wrapper=True):
            return self.compiled(*inputs)
