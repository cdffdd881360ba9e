"""Measures of all features at once, generated ones against real ones, and the features that are kept for them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from typing_extensions import override

from wavelight.metrics.base import TwoSampleMetric
from wavelight.metrics.feature_extractor import FeatureExtractor


class FeatureMeasure(ABC):
    """Numbers of all generated and all real features together, which no sums over features give.

    Attributes:
        least: Fewest features of each side that it can be computed from.
        compares: Whether it needs real features; else it is one of the generated features alone.
    """

    least: int = 1
    compares: bool = True

    @property
    @abstractmethod
    def identity(self) -> str:
        """All that its values depend on but the features."""

    def prepare(self, network: FeatureExtractor) -> None:  # noqa: B027 (most measures need nothing else)
        """Take what it needs of the network beside the features.

        Raises:
            OptionError: If the network does not have it.
        """

    @abstractmethod
    def values(self, generated: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Return values by their names in logs, float64 scalars, whatever the order of the features.

        Collective: all processes have all features, and may share the work out.

        Args:
            generated: ``(N, D)`` float32.
            real: ``(M, D)`` float32; empty for a measure that does not compare.
        """


class KeptFeatures(Metric, TwoSampleMetric):
    """Keeps the features of all images, once for all the measures of them.

    They are gathered on every process: 410 MB for 50,000 of 2048 numbers.

    Args:
        num_features: The size D of a feature.
        measures: The measures; real features are kept if one of them compares.
    """

    full_state_update = False
    is_differentiable = False

    generated: list[Tensor]
    real: list[Tensor]

    def __init__(self, num_features: int, measures: Sequence[FeatureMeasure]) -> None:
        super().__init__(compute_with_cache=False)
        self.num_features = num_features
        self.measures = list(measures)
        self._keeps_real = any(measure.compares for measure in measures)
        self.add_state("generated", [], dist_reduce_fx="cat")
        self.add_state("real", [], dist_reduce_fx="cat")
        self.reset()

    @override
    def update(self, features: Tensor, real: bool) -> None:
        """Keep features, ``(N, D)``, of real or of generated images."""
        if not real:
            self.generated.append(features.float())
        elif self._keeps_real:
            self.real.append(features.float())

    @override
    def compute(self) -> dict[str, Tensor]:
        """Return the values of all measures. Collective.

        Raises:
            ValueError: If there are fewer features than one of them needs.
        """
        generated, real = _joined(self.generated), _joined(self.real)
        values: dict[str, Tensor] = {}
        for measure in self.measures:
            _check_least(measure, len(generated), len(real))
            values |= measure.values(generated, real)
        return values

    @override
    def reset(self) -> None:
        """Forget all features."""
        super().reset()
        # One empty tensor, because torchmetrics cannot gather from a process whose list is empty.
        self.generated = [self._nothing()]
        self.real = [self._nothing()]

    @override
    def values(self) -> dict[str, Tensor]:
        return self.compute()

    @override
    def forget_generated(self) -> None:
        self.generated = [self._nothing()]

    @override
    def real_statistics(self) -> dict[str, Tensor]:
        if not self._keeps_real:
            return {}
        with self.sync_context():
            return {"features": _joined(self.real)}

    @override
    def load_real_statistics(self, statistics: dict[str, Tensor]) -> None:
        if self._keeps_real:
            self.real = [statistics["features"].to(self.device)]

    def _nothing(self) -> Tensor:
        return torch.empty(0, self.num_features, device=self.device)


def in_canonical_order(features: Tensor) -> Tensor:
    """Sort features ``(N, D)`` by their sums, so that a random choice among them is the same on any processes."""
    return features[features.double().sum(1).argsort(stable=True)]


def _joined(features: list[Tensor] | Tensor) -> Tensor:
    # Once gathered from several processes, the state is one tensor.
    return features if isinstance(features, Tensor) else torch.cat(features)


def _check_least(measure: FeatureMeasure, generated: int, real: int) -> None:
    if min(generated, real if measure.compares else generated) < measure.least:
        wanted = f"{measure.least} real and " if measure.compares else ""
        found = f"{real} and {generated}" if measure.compares else str(generated)
        raise ValueError(
            f"{type(measure).__name__} needs at least {wanted}{measure.least} generated images, got {found}"
        )
