"""A Fréchet distance, and precision and recall, of what a network sees in images."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from typing_extensions import override

from wavelight.metrics.base import ImageMetric
from wavelight.metrics.precision_recall import PrecisionRecall


class FeatureExtractor(nn.Module, ABC):
    """A network that sees images as vectors. It is never trained, and no part of the model."""

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


class FeatureMetrics(nn.Module, ImageMetric):
    """The Fréchet distance, and improved precision and recall, of one network's features.

    Args:
        features: The network to look through.
        distance: Name of the Fréchet distance in logs; ``fid`` belongs to Inception alone.
        precision_recall: Whether to measure improved precision and recall too; they keep the
            features of all images.
        neighbours: k of precision and recall.
    """

    distance: FrechetInceptionDistance
    precision_recall: PrecisionRecall | None

    def __init__(
        self,
        features: FeatureExtractor,
        distance: str,
        precision_recall: bool = True,
        neighbours: int = 3,
    ) -> None:
        super().__init__()
        self.features = features
        self.name = distance
        self.neighbours = neighbours if precision_recall else None
        self._prepared = False

    @property
    @override
    def identity(self) -> str:
        return f"{self.features.identity}, neighbours of precision and recall: {self.neighbours}"

    @override
    def prepare(self) -> None:
        if self._prepared:
            return
        self.features.prepare()
        self.features.eval().requires_grad_(False)
        # Only now, because a network that comes from a file has an unknown number of features.
        size = self.features.num_features
        self.distance = FrechetInceptionDistance(
            feature=_Given(size), reset_real_features=False, compute_with_cache=False
        )
        # torchmetrics sets it in `update` and fails without it on a process that saw no image
        # (fid.py, 1.9.0).
        self.distance.orig_dtype = torch.float64
        self.precision_recall = (
            None if self.neighbours is None else PrecisionRecall(size, self.neighbours)
        )
        self._prepared = True

    @override
    @torch.no_grad()
    def update(self, images: Tensor, real: bool) -> None:
        # Autocast would round the features, and with them the distance, to bfloat16.
        with torch.autocast(images.device.type, enabled=False):
            features = self.features(images).float()
        self.distance.update(features, real=real)
        if self.precision_recall is not None:
            self.precision_recall.update(features, real=real)

    @override
    def values(self) -> dict[str, Tensor]:
        values = {self.name: self._distance().double()}
        if self.precision_recall is not None:
            values |= self.precision_recall.compute()
        return values

    @override
    def forget_generated(self) -> None:
        self.distance.reset()
        if self.precision_recall is not None:
            self.precision_recall.forget_generated()

    @override
    def reset(self) -> None:
        super(FrechetInceptionDistance, self.distance).reset()
        if self.precision_recall is not None:
            self.precision_recall.reset()

    @override
    def real_statistics(self) -> dict[str, Tensor]:
        with self.distance.sync_context():
            statistics = {name: value.clone() for name, value in self._real_sums().items()}
        if self.precision_recall is not None:
            with self.precision_recall.sync_context():
                real = self.precision_recall.real
                statistics["features"] = real if isinstance(real, Tensor) else torch.cat(real)
        return statistics

    @override
    def load_real_statistics(self, statistics: dict[str, Tensor]) -> None:
        for name in self._real_sums():
            setattr(self.distance, name, statistics[name].to(self.distance.device))
        if self.precision_recall is not None:
            self.precision_recall.real = [statistics["features"].to(self.precision_recall.device)]

    def _real_sums(self) -> dict[str, Tensor]:
        return {
            name: value
            for name, value in self.distance.metric_state.items()
            if name.startswith("real_") and isinstance(value, Tensor)
        }

    def _distance(self) -> Tensor:
        try:
            return self.distance.compute()
        except RuntimeError as error:
            if "More than one sample" not in str(error):
                raise
            raise ValueError(f"{self.name} needs at least 2 real and 2 generated images") from error


class _Given(nn.Module):
    """Stands in torchmetrics' FID for the network, whose features are given instead of images."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    @override
    def forward(self, features: Tensor) -> Tensor:
        return features
