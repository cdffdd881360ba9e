"""Features of the whole global batch, which is shared out to processes, with derivatives of every order.

PyTorch's own differentiable collectives have no second derivatives, which gradient penalties need.
"""

from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd import Function
from typing_extensions import override

from wavelight.support.collectives import rank, total, world_size


def gather(share: Tensor) -> Tensor:
    """Return the shares of all processes, one after the other; with one process, what is given. Collective.

    Its gradient is the sum of the gradients that all processes have: as networks average gradients over processes,
    those of losses that are means over a share become those of the mean over the global batch.

    Args:
        share: ``(N, ...)``, equal shapes on all processes.

    Returns:
        ``(processes * N, ...)``.
    """
    return share if world_size() == 1 else _gather(share)


def own_share(gathered: Tensor) -> Tensor:
    """Return this process's share of what was gathered.

    Args:
        gathered: ``(processes * N, ...)``.

    Returns:
        ``(N, ...)``.
    """
    return gathered if world_size() == 1 else gathered.chunk(world_size())[rank()]


# A compiled network breaks here: the compiler has its own versions of collectives, without second derivatives.
@torch.compiler.disable
def _gather(share: Tensor) -> Tensor:
    return _Gather.apply(share)


class _Gather(Function):
    @staticmethod
    @override
    def forward(ctx: Any, share: Tensor) -> Tensor:
        share = share.contiguous()
        shares = [torch.empty_like(share) for _ in range(world_size())]
        distributed.all_gather(shares, share)
        return torch.cat(shares)

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _SumOfShare.apply(gradient)


class _SumOfShare(Function):
    """The transpose of gathering, whose own is gathering."""

    @staticmethod
    @override
    def forward(ctx: Any, gathered: Tensor) -> Tensor:
        return own_share(total(gathered.contiguous()))

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Gather.apply(gradient)
