"""A Fréchet distance, and further metrics, of the features that a network has of images, on one pass of the network."""

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from wavelight.metrics.base import CombinedMetric, TwoSampleMetric
from wavelight.metrics.feature_extractor import FeatureExtractor
from wavelight.metrics.frechet import FrechetDistance
from wavelight.metrics.kept_features import FeatureMeasure, KeptFeatures
from wavelight.metrics.neighbours import Neighbours
from wavelight.metrics.sums import SumMetric


class FeatureMetrics(nn.Module, CombinedMetric):
    """The Fréchet distance of one network's features, and further metrics of them.

    The network sees every image once.

    Args:
        features: The network whose features are compared.
        distance: Name of the Fréchet distance in logs; ``fid`` belongs to Inception alone.
        measures: Measures of all features at once, for which those of all images are kept, such as ``Neighbours``
            (precision, recall, density and coverage) and ``KernelDistance`` (KID); by default Neighbours. An empty list
            keeps no features.
        further: Other metrics of sums over the features, ``(N, D)`` float32.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        distance: str,
        measures: list[FeatureMeasure] | None = None,
        further: Sequence[SumMetric] = (),
    ) -> None:
        super().__init__()
        self.features = features
        self.name = distance
        self.measures = [Neighbours()] if measures is None else measures
        self._of_sums = nn.ModuleList([FrechetDistance(distance), *further])
        self._kept: KeptFeatures | None = None
        self._prepared = False

    @property
    @override
    def identity(self) -> str:
        parts = [self.features, *self._sums(), *self.measures]
        return ", ".join(part.identity for part in parts)

    @override
    def prepare(self) -> None:
        if self._prepared:
            return
        self.features.prepare()
        self.features.eval().requires_grad_(False)
        for measure in self.measures:
            measure.prepare(self.features)
        if self.measures:
            # Only now, because a network that comes from a file has an unknown number of features.
            self._kept = KeptFeatures(self.features.num_features, self.measures)
        self._prepared = True

    @override
    def parts(self) -> Iterator[tuple[str, TwoSampleMetric]]:
        for index, metric in enumerate(self._sums()):
            yield f"sums{index}.", metric
        if self._kept is not None:
            yield "kept.", self._kept

    @override
    @torch.no_grad()
    def update(self, images: Tensor, real: bool) -> None:
        # Autocast would round the features, and with them the distance, to bfloat16.
        with torch.autocast(images.device.type, enabled=False):
            features = self.features(images).float()
        for _, metric in self.parts():
            metric.update(features, real=real)

    @override
    def values(self) -> dict[str, Tensor]:
        return {
            name: value for _, metric in self.parts() for name, value in metric.values().items()
        }

    def _sums(self) -> list[SumMetric]:
        return [cast(SumMetric, metric) for metric in self._of_sums]
