"""Networks evaluated on overlapping tiles, for images that memory does not hold at once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from wavelight.factors import Condition
from wavelight.models import GenerativeModel


class Tiles(NamedTuple):
    """Cuts the inputs of networks, so that memory is bounded: a network runs on a tile at a time.

    Noise is generated for the whole image and cut with it, and the outputs of neighbours are blended at
    every evaluation. Where tiles overlap, each one's outer quarter of the overlap counts nothing, and
    its weight rises linearly over the middle half. A network that reads no further than a quarter of the
    overlap therefore returns what it returns for the whole image, to rounding; what a network gathers
    from all pixels (attention, group normalization) it gathers from the tile instead.
    """

    side: int
    """In pixels of the network's input: LL of its level, which a Laplacian pyramid enlarges first."""

    overlap: int
    """Pixels that neighbours share, less than the side."""

    def evaluate(
        self, network: Callable[..., Tensor], x: Tensor, *others: Tensor | Condition
    ) -> Tensor:
        """Call a network on each tile, and blend what it returns.

        Args:
            network: Called with all inputs; returns ``(N, C, H, W)``.
            x: ``(N, C, H, W)``.
            others: Those ``(N, C, H, W)`` of four dimensions are cut, LL among them; others, such as times, are
                not.

        Returns:
            ``(N, C, H, W)``.
        """
        height, width = x.shape[2:]
        if max(height, width) <= self.side:
            return network(x, *others)
        total = weights = torch.zeros(())
        for top in self._starts(height):
            for left in self._starts(width):
                window = (..., slice(top, top + self.side), slice(left, left + self.side))
                out = network(*_cut((x, *others), window))
                if total.ndim == 0:
                    total = out.new_zeros(*out.shape[:2], height, width)
                    weights = out.new_zeros(height, width)
                weight = torch.outer(self._weight(top, height), self._weight(left, width)).to(out)
                total[window] += weight * out
                weights[window] += weight
        return total / weights

    def _starts(self, length: int) -> list[int]:
        last = max(length - self.side, 0)
        return [*range(0, last, self.side - self.overlap), last]

    def _weight(self, start: int, length: int) -> Tensor:
        """Return the weight of each pixel of a tile along one side; borders of the image are no seams."""
        size = min(self.side, length)
        weight = torch.ones(size)
        if self.overlap:
            silent = self.overlap // 4
            places = torch.arange(self.overlap) + 0.5
            rise = ((places - silent) / (self.overlap - 2 * silent)).clamp(0, 1)
            if start > 0:
                weight[: self.overlap] *= rise
            if start + size < length:
                weight[-self.overlap :] *= rise.flip(0)
        return weight


def _cut(inputs: tuple[Tensor | Condition, ...], window: Any) -> Any:
    return apply_to_collection(
        inputs, Tensor, lambda each: each[window] if each.ndim == 4 else each
    )


@contextmanager
def tiled(model: GenerativeModel, tiles: Tiles | None) -> Iterator[None]:
    """Run the networks that sample in tiles for a while."""
    with ExitStack() as stack:
        for player in model.players().values():
            if player.samples and tiles is not None:
                stack.enter_context(_forward_in_tiles(player.network, tiles))
        yield


@contextmanager
def _forward_in_tiles(network: nn.Module, tiles: Tiles) -> Iterator[None]:
    whole = network.forward
    network.forward = lambda *inputs: tiles.evaluate(whole, *inputs)
    try:
        yield
    finally:
        # It hid the method of the class.
        del network.forward
