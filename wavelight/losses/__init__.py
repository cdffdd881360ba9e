"""What players minimise, apart from any network."""

from wavelight.losses.games import BoundedCritic, Game, NonSaturating, RelativisticPairing

__all__ = ["BoundedCritic", "Game", "NonSaturating", "RelativisticPairing"]
