"""Detail scoring: one evaluation samples details given LL, learnt by a proper scoring rule in place of a game."""

from collections.abc import Sequence

from torch import Tensor
from typing_extensions import override

from wavelight.factorizations.base import Factor
from wavelight.factorizations.views import View
from wavelight.factors import FactorShape
from wavelight.models.base import NetworkFactory, OptimizerFactory
from wavelight.models.one_shot import OneShotModel
from wavelight.models.view_scores import ViewScores
from wavelight.noise import Noise
from wavelight.support.errors import check_least


class DetailScoring(OneShotModel):
    """Learns the law of details given LL by a proper scoring rule of a few samples, without a discriminator.

    The expectation of a proper score is least where samples follow the true law (Gneiting and Raftery, 2007; as losses
    of generators: Shen and Meinshausen, 2024, arXiv 2307.00835; De Bortoli et al., 2025, arXiv 2502.02483): there is no
    game, no gradient penalty, and a generator that ignores its noise has a worse score than one that does not. Scored
    is, by the fair CRPS, each number of one or more linear views of the details.

    Args:
        shape: Of the details, and of LL.
        generator: Called ``(noise, condition)`` with noise of m N images and N conditions, samples details.
        generator_optimizer: Makes the generator's optimizer.
        views: Linear views of the details that are scored: classes of :mod:`wavelight.factorizations.views`, with
            their weights.
        samples: Samples at each LL, m; the score is fair for any m.

    Raises:
        ValueError: If there is no view, none of them has a weight, there are fewer than two samples, or the generator
            has no noise.
    """

    def __init__(
        self,
        shape: FactorShape,
        generator: NetworkFactory,
        generator_optimizer: OptimizerFactory,
        views: Sequence[View],
        samples: int = 2,
    ) -> None:
        check_least({"samples": (samples, 2)})
        super().__init__(shape, generator, generator_optimizer)
        self.scores = ViewScores(views, shape.side)
        if not self.noise_channels:
            raise ValueError(
                "noise_channels of the generator must be at least 1 for DetailScoring, got 0: without noise there is "
                "one sample at each LL, and DetailRegression is the model for it"
            )
        self.samples = samples

    @override
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        return self.scores(self.ensemble(self.samples, factor.condition, noise), factor, turn)
