"""Scores of an ensemble in several views: the loss of models that learn by scoring rules."""

from collections.abc import Sequence

from torch import Tensor

from wavelight.factorizations.base import Factor
from wavelight.factorizations.views import View
from wavelight.losses.scoring_rules import fair_crps, fair_energy_score


class ViewScores:
    """The fair CRPS of the numbers of one or more views.

    Args:
        views: Classes of :mod:`wavelight.factorizations.views`, with their weights.
        side: Of the targets, in pixels.

    Raises:
        ValueError: If there is no view, none has a weight, or one cannot look at such targets.
    """

    def __init__(self, views: Sequence[View], side: int) -> None:
        self.views = [view for view in views if view.weight > 0]
        if not self.views:
            raise ValueError(
                f"views must have one of a weight above 0, got weights {[view.weight for view in views]}: the network "
                "would learn nothing"
            )
        for view in self.views:
            view.check(side)
        # The same kind of view may come several times, such as packets of several levels.
        kinds = [view.name for view in self.views]
        self.names = [
            name if kinds[:i].count(name) == 0 else f"{name}_{kinds[:i].count(name) + 1}"
            for i, name in enumerate(kinds)
        ]

    def __call__(
        self, ensemble: Tensor, factor: Factor, turn: int, weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Score an ensemble.

        Args:
            ensemble: ``(m, N, C, H, W)``, float32.
            factor: The truth, and how it is scaled.
            turn: The number of batches before this one.
            weight: Of each image, ``(N,)``; none weighs all alike.

        Returns:
            The mean score of each view, by its name (``packets_2`` for the second of a name), times the view's weight.
        """
        return {
            name: view.weight * _mean(self._scores(view, ensemble, factor, turn), weight)
            for name, view in zip(self.names, self.views, strict=True)
        }

    def _scores(self, view: View, ensemble: Tensor, factor: Factor, turn: int) -> Tensor:
        band = None if factor.finer is None else factor.finer.details
        seen = view(ensemble.flatten(0, 1), band, turn).unflatten(0, ensemble.shape[:2])
        true = view(factor.target, band, turn)
        if not view.joint:
            return fair_crps(seen, true)
        # In the unit of one number, so that weights mean the same.
        size = true.shape[1] ** 0.5
        return fair_energy_score(seen.movedim(2, -1), true.movedim(1, -1))[:, None] / size


def _mean(scores: Tensor, weight: Tensor | None) -> Tensor:
    return scores.mean() if weight is None else (scores.mean((1, 2, 3)) * weight).mean()
