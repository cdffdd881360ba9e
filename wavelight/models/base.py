"""Base of the models of one factor: players that learn in turn, and a way to sample."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wavelight.factorizations.base import Factor, Shape
from wavelight.factors import Condition, FactorShape
from wavelight.noise import Noise

NetworkFactory = Callable[[FactorShape], nn.Module]
"""Builds a network for a factor; in YAML a ``class_path`` with ``init_args`` for all but the shape.

Each model's docstring says how it calls its networks. Those of scores and flows are called ``(x, c_noise, condition)``,
generators of details ``(noise, condition)``, and discriminators of details ``(image, condition)``, where the condition
is a :class:`wavelight.factors.Condition`, of which they take what they know.
"""

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Makes an optimizer of parameters; in YAML a ``class_path`` with its ``init_args``."""


class Player(NamedTuple):
    """A network and the optimizer that trains it, in turn with the other players."""

    network: nn.Module
    optimizer: OptimizerFactory
    samples: bool
    """Whether sampling images needs the network, so that its weights are averaged and exported."""


class GenerativeModel(nn.Module, ABC):
    """A model of p(target | condition): what each of its players minimises, and how to sample it."""

    @abstractmethod
    def players(self) -> Mapping[str, Player]:
        """Return the players by name, in the order of their turns on a batch.

        A name is that of the attribute which holds the network, and so part of the names in a state
        dict.
        """

    @abstractmethod
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        """Return the terms, by name, whose sum a player minimises on a batch; none where it rests.

        Whether a player rests depends on the turn alone, so that all processes rest together.

        Args:
            player: The name of the player whose turn it is.
            factor: Target ``(N, C, H, W)``, and what it is conditioned on.
            turn: The number of batches before this one, for terms that come only now and then.
            noise: The randomness of the batch.
        """

    @abstractmethod
    def sample(self, shape: Shape, condition: Condition, noise: Noise) -> Tensor:
        """Sample a target for each image of ``noise``, ``(N, *shape)``.

        Args:
            shape: Channels, height and width of the target.
            condition: What the targets are conditioned on.
            noise: The randomness of the images.
        """

    def check(self, bounded: bool) -> None:
        """Check that the networks go with the range of the targets.

        Args:
            bounded: Whether targets lie in [-1, 1].

        Raises:
            ValueError: If they do not, in one sentence.
        """

    def check_shared(self, shapes: Sequence[FactorShape]) -> None:
        """Check that the networks serve several factors, of which they were built for the first.

        Args:
            shapes: Of all factors that share the model.

        Raises:
            ValueError: If they do not, in one sentence.
        """

    @property
    def steps(self) -> int | None:
        """The sampler's steps, where they can be chosen after training, and None elsewhere."""
        return None

    def take_steps(self, steps: int) -> None:
        """Sample in another number of steps from now on; the weights do not depend on it.

        Args:
            steps: Of the sampler.

        Raises:
            ValueError: If the model's steps are fixed, or it cannot take so many.
        """
        raise ValueError(
            f"steps must be left out for {type(self).__name__}, whose number of evaluations is fixed, got {steps}"
        )


ModelFactory = Callable[[FactorShape], GenerativeModel]
"""Builds a model of a factor; in YAML a ``class_path`` with ``init_args`` for all but the shape."""


def differentiable_twice(network: nn.Module, like: Tensor) -> tuple[Callable[..., Tensor], Any]:
    """Return a network as derivatives of derivatives need it: uncompiled, and in float32.

    A compiled network has no gradient of a gradient, and no forward derivative (``torch.func.jvp``); ``forward`` is the
    uncompiled one. Forward derivatives of attention also need ``sdpa_kernel(SDPBackend.MATH)`` around them.

    Args:
        network: The network that is differentiated twice, such as a discriminator whose gradient is penalised.
        like: A tensor on its device.

    Returns:
        A function to call in its place, and the context to call it in.
    """
    return network.forward, torch.autocast(like.device.type, enabled=False)
