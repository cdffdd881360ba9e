"""Published state dicts load strictly, and come back as they were."""

import pytest
import torch

from tests.golden import NARROW, filled
from wavelight.factors import FactorShape
from wavelight.networks.discriminators import LargeDiscriminator, SmallDiscriminator
from wavelight.networks.ncsnpp import NCSNpp
from wavelight.networks.published import load_published, published_name, published_state

SUBBANDS = FactorShape.square(12, 8)
COLOURS = FactorShape.square(3, 16)


def networks() -> list[torch.nn.Module]:
    """Return one network of each kind."""
    return [
        NCSNpp(SUBBANDS, **NARROW),
        SmallDiscriminator(COLOURS, 8, 3),
        LargeDiscriminator(COLOURS, 8, 3),
    ]


@pytest.mark.parametrize("kind", range(3))
def test_state_comes_back(kind: int) -> None:
    source, target = filled(networks()[kind]), networks()[kind]
    load_published(
        target, {f"module.{name}": value for name, value in published_state(source).items()}
    )
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name


def test_names() -> None:
    network = NCSNpp(SUBBANDS, **NARROW)
    assert published_name(network, "stem.weight") == "all_modules.2.weight"
    assert (
        published_name(network, "encoder.0.stages.1.block.norm_out.style.bias")
        == "all_modules.4.GroupNorm_1.style.bias"
    )
    assert published_name(network, "middle.0.attention.query.weight").endswith(".NIN_0.W")
    assert published_name(network, "latent_mapping.layers.1.bias") == "z_transform.3.bias"
    assert (
        published_name(SmallDiscriminator(COLOURS, 8, 3), "blocks.0.conv_in.weight")
        == "conv1.conv1.0.weight"
    )


def test_other_weights_are_refused() -> None:
    network = SmallDiscriminator(COLOURS, 8, 3)
    state = published_state(network)
    del state["end_linear.bias"]
    with pytest.raises(ValueError, match="the weights do not fit SmallDiscriminator"):
        load_published(network, state)
    with pytest.raises(ValueError, match=r"start_conv\.weight"):
        load_published(
            network, published_state(SmallDiscriminator(FactorShape.square(4, 16), 8, 3))
        )
