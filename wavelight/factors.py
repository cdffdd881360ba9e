"""A factor's shape, which its network is built for, and the condition that its target is generated given."""

from typing import NamedTuple, Self

from torch import Tensor


class Condition(NamedTuple):
    """All that a target is conditioned on, for each image of a batch; None where there is none of it.

    It goes with the target through models and networks as it is: each takes what it knows, and leaves the rest.
    """

    ll: Tensor | None = None
    """The LL band of the level, ``(N, C, H, W)`` of the target's height and width, scaled as networks see it."""

    label: Tensor | None = None
    """Classes, ``(N,)`` int64; -1 for an image without a label."""

    def part(self, start: int, stop: int) -> "Condition":
        """Return the condition of the images ``start`` to ``stop`` - 1 of this batch."""
        return Condition(*(None if value is None else value[start:stop] for value in self))

    def true_ll(self) -> Tensor:
        """Return LL, for models and networks of details, which cannot do without.

        Raises:
            ValueError: If there is none.
        """
        if self.ll is None:
            raise ValueError(
                "ll must be given for details, got none: sample LL first, or encode images"
            )
        return self.ll


UNCONDITIONAL = Condition()
"""The condition of a target that is generated given nothing."""


class FactorShape(NamedTuple):
    """The shape of a target, and of the LL that it is generated given.

    It belongs to the factorization; a configuration gives a network's width, multipliers and blocks, and the system
    builds the network for the factor. So another image size, wavelet, level or number of channels is one option.
    """

    channels: int
    """Channels of the target: 3 for colours, 9 for the details of colours, 12 for the four sub-bands of colours."""

    height: int
    width: int
    condition_channels: int = 0
    """Channels of LL, of the target's height and width; 0 where the factor has no condition."""

    @classmethod
    def square(cls, channels: int, side: int, condition_channels: int = 0) -> Self:
        """Return the shape of a target of equal sides."""
        return cls(channels, side, side, condition_channels)

    @property
    def side(self) -> int:
        """The height, for networks that are built for square targets."""
        return self.height

    def refuse_condition(self, name: str) -> None:
        """Refuse a condition on behalf of what is unconditional.

        Args:
            name: Its class.

        Raises:
            ValueError: If the factor has a condition.
        """
        if self.condition_channels:
            raise ValueError(
                f"{name} is unconditional and cannot model detail bands given LL; use it for LL, Pixels or Subbands"
            )
