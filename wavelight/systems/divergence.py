"""Training that has diverged: noticed without waiting for the device, and named."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from wavelight.support.collectives import least

_NEVER = 2**62
_NOTES_A_BATCH = 2**16


class DivergedError(FloatingPointError):
    """Numbers of the training are not finite any more, in one sentence."""


class BadTerm(NamedTuple):
    """A term of a loss, and the first batch in which it was not finite."""

    factor: int
    player: str
    term: str
    batch: int


class LossWatch:
    """Notes on the device in which batch a term of a loss was first not finite; only asking waits for the device."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, str, tuple[str, ...]], Tensor] = {}
        self._place = 0

    def note(self, factor: int, player: str, terms: Mapping[str, Tensor], batch: int) -> None:
        """Look at the terms that a player minimised on a batch.

        Args:
            factor: The number of the factor.
            player: The player's name.
            terms: Scalars by name.
            batch: The number of the batch, from 1.
        """
        # The first term of a batch spoils those behind it.
        self._place = max(self._place + 1, batch * _NOTES_A_BATCH)
        values = torch.stack(list(terms.values()))
        bad = torch.where(values.isfinite(), _NEVER, self._place)
        key = (factor, player, tuple(terms))
        self._first[key] = torch.minimum(self._first[key], bad) if key in self._first else bad

    def first(self) -> BadTerm | None:
        """Return the term that was not finite first, on any process; None if all were. Collective."""
        if not self._first:
            return None
        names = [(*key[:2], term) for key in self._first for term in key[2]]
        places = least(torch.cat(list(self._first.values()))).tolist()
        place = min(places)
        if place == _NEVER:
            return None
        return BadTerm(*names[places.index(place)], place // _NOTES_A_BATCH)


def not_finite(module: nn.Module, optimizers: Iterable[Optimizer]) -> str | None:
    """Return the name of a tensor of a module, or of its optimizers' states, that is not finite; None if all are.

    Waits for the device once.
    """
    tensors = dict(module.state_dict())
    names: dict[Tensor, str] = {each: name for name, each in module.named_parameters()}
    for optimizer in optimizers:
        for parameter, state in optimizer.state.items():
            named = names.get(parameter, "a parameter")
            tensors |= {f"{key} of {named}": v for key, v in state.items() if torch.is_tensor(v)}
    floats = {name: each for name, each in tensors.items() if each.is_floating_point()}
    if not floats:
        return None
    device = next(module.parameters()).device
    finite = torch.stack([each.isfinite().all().to(device) for each in floats.values()]).tolist()
    return next((name for name, good in zip(floats, finite, strict=True) if not good), None)
