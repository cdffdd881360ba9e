"""Linear views of targets, whose numbers are scored one by one: each sees another part of their joint law."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from wavelight.factorizations.scaling import ScaledBand
from wavelight.support.errors import check_least
from wavelight.wavelets import dwt2


class View(ABC):
    """Numbers that a target is looked at as; a proper score of them is proper for the target, if not strictly.

    Args:
        weight: Of its score in a loss.
        joint: Whether the numbers at a position are scored together, as a vector, by the energy score: it sees how they
            go together, where the CRPS of each by itself does not.

    Raises:
        ValueError: If the weight is negative.
    """

    def __init__(self, weight: float = 1.0, joint: bool = False) -> None:
        check_least({"weight": (weight, 0)})
        self.weight = weight
        self.joint = joint

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of its term in logs."""

    @abstractmethod
    def __call__(self, target: Tensor, band: ScaledBand | None, turn: int) -> Tensor:
        """Look at a target.

        Args:
            target: ``(N, C, H, W)``, as networks see it.
            band: How details are scaled; None for other targets.
            turn: The number of batches before this one, on which a view that changes depends alone.

        Returns:
            ``(N, D, h, w)``.
        """

    def check(self, side: int) -> None:  # noqa: B027 (most views take any)
        """Refuse targets that cannot be looked at so.

        Args:
            side: Of the targets, in pixels.

        Raises:
            ValueError: If they cannot.
        """


class Channels(View):
    """Each channel by itself, scaled by its own standard deviation where the scaling says it."""

    name = "channels"

    @override
    def __call__(self, target: Tensor, band: ScaledBand | None, turn: int) -> Tensor:
        return _channels(target, band)


class HalfWhitened(View):
    """Principal components of the channels at a position, diag(lambda)^(-1/4) V^T of the standardised ones.

    A channel by itself says nothing of its covariance with others, so that samples may have coloured specks.
    Components of equal power would be ruled by the weakest, which are mostly noise; half the exponent lies between.
    It needs the scaling ``Eigenbasis``, and is as the channels where a scaling does not mix them.
    """

    name = "half_whitened"

    @override
    def __call__(self, target: Tensor, band: ScaledBand | None, turn: int) -> Tensor:
        return target if band is None else target * band.powers().reshape(-1, 1, 1) ** 0.25


class ShiftedPackets(View):
    """Haar packets of each channel: every band split again, from another position in each batch.

    A coefficient of a packet is a signed sum of a block of neighbours, so that its law tells of their covariance, which
    single details do not.

    Args:
        levels: How often the target is split: blocks have a side of ``2 ** levels``.
        weight: Of its score in a loss.
        joint: Whether all numbers of a block, of all channels, are scored together by the energy score.

    Raises:
        ValueError: If there is no level.
    """

    name = "packets"

    def __init__(self, levels: int = 2, weight: float = 1.0, joint: bool = False) -> None:
        super().__init__(weight, joint)
        check_least({"levels": (levels, 1)})
        self.levels = levels

    @override
    def __call__(self, target: Tensor, band: ScaledBand | None, turn: int) -> Tensor:
        across, down = _corner(turn, 2**self.levels)
        packets = torch.roll(_channels(target, band), (down, across), dims=(2, 3))
        for _ in range(self.levels):
            packets = torch.cat(dwt2(packets), dim=1)
        return packets

    @override
    def check(self, side: int) -> None:
        if side % 2**self.levels:
            raise ValueError(
                f"levels of ShiftedPackets must halve the side of the target evenly, got {self.levels} for side "
                f"{side}: give fewer"
            )


class DifferencePackets(ShiftedPackets):
    """Haar packets of the differences of neighbours, across and down, from another position in each batch.

    Images have about the spectrum 1/f, so that fine structure is weak and hardly counts in scores of packets as they
    are. Differences grow with f, which makes fine and coarse structure about alike. The last column goes on with the
    first, and so does the last row.

    Args:
        levels: How often the differences are split: blocks have a side of ``2 ** levels``.
        weight: Of its score in a loss.
        joint: Whether all numbers of a block, of all channels, are scored together by the energy score.

    Raises:
        ValueError: If there is no level.
    """

    name = "differences"

    @override
    def __call__(self, target: Tensor, band: ScaledBand | None, turn: int) -> Tensor:
        differences = [target - torch.roll(target, 1, dims=side) for side in (2, 3)]
        return torch.cat(
            [super(DifferencePackets, self).__call__(each, band, turn) for each in differences],
            dim=1,
        )


def _channels(target: Tensor, band: ScaledBand | None) -> Tensor:
    """Return channels that are scaled each by itself."""
    return target if band is None else band.unmixed(target)


def _corner(turn: int, side: int) -> list[int]:
    """Return a position in a block of this side, at random and the same whenever this turn comes."""
    return torch.randint(side, (2,), generator=torch.Generator().manual_seed(turn)).tolist()
