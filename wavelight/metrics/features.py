"""A Fréchet distance, precision and recall, and further metrics of the features that a network has of images."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from typing_extensions import override

from wavelight.metrics.base import CombinedMetric, TwoSampleMetric
from wavelight.metrics.precision_recall import PrecisionRecall
from wavelight.metrics.sums import SumMetric


class FeatureExtractor(nn.Module, ABC):
    """A network that maps images to feature vectors. It is never trained, and no part of the model."""

    num_features: int
    """Length of a vector; asked for after :meth:`prepare`."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Which network with which weights, as text; asked for after :meth:`prepare`."""

    def prepare(self) -> None:
        """Load the weights.

        Raises:
            FileNotFoundError: If there are none, with a sentence that says how to get them.
        """

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Return features, ``(N, num_features)`` floats, of ``(N, C, H, W)`` uint8 images."""


class FeatureMetrics(nn.Module, CombinedMetric):
    """The Fréchet distance, improved precision and recall, and further metrics of one network's features.

    The network sees every image once.

    Args:
        features: The network whose features are compared.
        distance: Name of the Fréchet distance in logs; ``fid`` belongs to Inception alone.
        precision_recall: Whether to measure improved precision and recall too; they keep the
            features of all images.
        neighbours: k of precision and recall.
        further: Other metrics of the features, ``(N, D)`` float32, such as a kernel distance.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        distance: str,
        precision_recall: bool = True,
        neighbours: int = 3,
        further: Sequence[SumMetric] = (),
    ) -> None:
        super().__init__()
        self.features = features
        self.name = distance
        self.neighbours = neighbours if precision_recall else None
        self._further = nn.ModuleList(further)
        self._published = nn.ModuleList()
        self._prepared = False

    @property
    @override
    def identity(self) -> str:
        published = (
            f"{self.features.identity}, neighbours of precision and recall: {self.neighbours}"
        )
        return ", ".join([published, *(metric.identity for metric in self._of_sums())])

    @override
    def prepare(self) -> None:
        if self._prepared:
            return
        self.features.prepare()
        self.features.eval().requires_grad_(False)
        # Only now, because a network that comes from a file has an unknown number of features.
        size = self.features.num_features
        self._published.append(_FrechetDistance(size, self.name))
        if self.neighbours is not None:
            self._published.append(PrecisionRecall(size, self.neighbours))
        self._prepared = True

    @override
    def parts(self) -> Iterator[tuple[str, TwoSampleMetric]]:
        for metric in self._published:
            yield "", cast(TwoSampleMetric, metric)
        for index, metric in enumerate(self._of_sums()):
            yield f"further{index}.", metric

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

    def _of_sums(self) -> list[SumMetric]:
        return [cast(SumMetric, metric) for metric in self._further]


class _FrechetDistance(FrechetInceptionDistance, TwoSampleMetric):
    """torchmetrics' FID, whose features are given instead of images.

    Args:
        num_features: The size D of a feature.
        name: Name of the distance in logs.
    """

    def __init__(self, num_features: int, name: str) -> None:
        super().__init__(
            feature=_Given(num_features), reset_real_features=False, compute_with_cache=False
        )
        self.name = name
        # torchmetrics sets it in `update` and fails without it on a process that saw no image
        # (fid.py, 1.9.0).
        self.orig_dtype = torch.float64

    @override
    def values(self) -> dict[str, Tensor]:
        try:
            return {self.name: self.compute().double()}
        except RuntimeError as error:
            if "More than one sample" not in str(error):
                raise
            raise ValueError(f"{self.name} needs at least 2 real and 2 generated images") from error

    @override
    def forget_generated(self) -> None:
        super().reset()

    @override
    def reset(self) -> None:
        # That of torchmetrics' FID keeps the real features.
        super(FrechetInceptionDistance, self).reset()

    @override
    def real_statistics(self) -> dict[str, Tensor]:
        with self.sync_context():
            return {name: value.clone() for name, value in self._real_sums().items()}

    @override
    def load_real_statistics(self, statistics: dict[str, Tensor]) -> None:
        for name in self._real_sums():
            setattr(self, name, statistics[name].to(self.device))

    def _real_sums(self) -> dict[str, Tensor]:
        return {
            name: value
            for name, value in self.metric_state.items()
            if name.startswith("real_") and isinstance(value, Tensor)
        }


class _Given(nn.Module):
    """Stands in torchmetrics' FID for the network, whose features are given instead of images."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    @override
    def forward(self, features: Tensor) -> Tensor:
        return features
