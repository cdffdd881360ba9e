"""A small feature network, and images with some structure, for the tests of metrics."""

import torch
from torch import Tensor
from torch.nn import functional

from wavelight.metrics import FeatureExtractor


class ToyFeatures(FeatureExtractor):
    """Random but fixed features of 2x2 blocks of pixels; evaluation must turn off its dropout."""

    num_features = 6

    def __init__(self, channels: int = 3, side: int = 8) -> None:
        super().__init__()
        weight = torch.randn(self.num_features, channels * (side // 2) ** 2, generator=seeded(5))
        self.weight = torch.nn.Parameter(weight / 100)
        self.runs = 0

    @property
    def identity(self) -> str:
        return "toy"

    def forward(self, images: Tensor) -> Tensor:
        self.runs += 1
        pooled = functional.avg_pool2d(images.float(), 2).flatten(1)
        return functional.dropout(functional.linear(pooled, self.weight), training=self.training)


class ClassFeatures(ToyFeatures):
    """Takes features for logits."""

    has_classes = True

    def logits(self, features: Tensor) -> Tensor:
        return 3 * features


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blotches(
    count: int, side: int = 8, channels: int = 3, seed: int = 0, noise: float = 20
) -> Tensor:
    """Return smooth bytes with some noise: strongly correlated pixels, as in photographs."""
    generator = seeded(seed)
    coarse = 255 * torch.rand(count, channels, 3, 3, generator=generator)
    smooth = functional.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=True)
    rough = noise * torch.randn(smooth.shape, generator=generator)
    return (smooth + rough).round().clamp(0, 255).byte()
