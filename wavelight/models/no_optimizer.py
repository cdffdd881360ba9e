"""The optimizer of systems that were loaded to sample: there is none."""

from collections.abc import Iterable

from torch import nn
from torch.optim import Optimizer


class NoOptimizer(Optimizer):
    """Stands in the place of the optimizers of a system that was loaded to sample.

    Args:
        parameters: Of a network.

    Raises:
        ValueError: Always.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        raise ValueError(
            "a system that was loaded from a checkpoint samples and has no optimizers: train with `wavelight fit "
            "--config ... --ckpt_path ...`, or build the system anew with start_from"
        )
