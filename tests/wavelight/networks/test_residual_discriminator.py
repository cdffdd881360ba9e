"""The discriminator of the hybrid has the published size, and takes images of every size."""

import pytest
import torch

from tests.golden import normal
from wavelight.factors import FactorShape
from wavelight.networks import ResidualDiscriminator

SHAPE = FactorShape.square(3, 64, 3)


@pytest.mark.parametrize(
    ("width", "parameters", "millions"), [(64, 42_632_257, 42.6), (40, 16_660_201, 16.7)]
)
def test_size_is_the_published_one(width: int, parameters: int, millions: float) -> None:
    with torch.device("meta"):
        network = ResidualDiscriminator(SHAPE, width)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert round(parameters / 1e6, 1) == millions


@pytest.mark.parametrize("blocks", [0, 1, 4])
@pytest.mark.parametrize("size", [(16, 16), (7, 13), (1, 1)])
def test_scores_images_of_every_size(blocks: int, size: tuple[int, int]) -> None:
    network = ResidualDiscriminator(SHAPE, 4, blocks)
    logits = network(normal(1, 2, 3, *size))
    assert logits.shape == (2, 1)
    assert logits.isfinite().all()


def test_forgets_half_of_the_last_features_in_training_alone() -> None:
    torch.manual_seed(0)
    network = ResidualDiscriminator(SHAPE, 8, blocks=1)
    x = normal(1, 2, 3, 8, 8)
    assert network.dropout.p == 0.5
    assert not torch.allclose(network(x), network(x), atol=1e-4)
    network.eval()
    assert torch.equal(network(x), network(x))
