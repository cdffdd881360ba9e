"""A factor's shape: the numbers that a network is built for."""

from typing import NamedTuple, Self


class FactorShape(NamedTuple):
    """The shape of a target, and of the condition that it is generated given.

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
