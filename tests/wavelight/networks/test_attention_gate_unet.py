"""The generator of the hybrid has the published size and cost, and its parts do what they are said to."""

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from tests.golden import normal
from wavelight.factors import Condition, FactorShape
from wavelight.networks import AttentionGateUNet
from wavelight.networks.attention_gate_unet import AttentionGate, GatedUp, NormalizedBlock

COLOURS = FactorShape.square(9, 64, 3)
GREY = FactorShape.square(2, 8, 1)


@pytest.mark.parametrize(("width", "parameters"), [(64, 36_470_636), (40, 14_252_498)])
def test_size_is_the_published_one(width: int, parameters: int) -> None:
    """36.47 and 14.25 million; 36.464 million without the biases of the residual blocks."""
    with torch.device("meta"):
        network = AttentionGateUNet(COLOURS, width, 3)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    biases = [
        convolution.bias.numel()
        for block in network.modules()
        if isinstance(block, NormalizedBlock)
        for convolution in (block.conv_in, block.conv_out)
    ]
    assert width != 64 or round((parameters - sum(biases)) / 1e6, 3) == 36.464


@pytest.mark.parametrize(
    ("width", "side", "billions"), [(64, 64, 7.94), (64, 32, 1.98), (40, 64, 3.11), (40, 32, 0.78)]
)
def test_multiply_adds_are_the_published_ones(width: int, side: int, billions: float) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = AttentionGateUNet(COLOURS, width, 3)
        generated = network(torch.empty(1, 3, side, side), Condition(torch.empty(1, 3, side, side)))
    assert generated.shape == (1, 9, side, side)
    assert round(counter.get_total_flops() / 2e9, 2) == billions


def test_block_has_half_way_channels_and_a_mapped_shortcut() -> None:
    torch.manual_seed(0)
    block, x = NormalizedBlock(6, 4), normal(1, 3, 6, 4, 4)
    assert block.conv_in.out_channels == 5
    h = functional.conv2d(x, block.conv_in.weight, padding=1)
    h = functional.leaky_relu(_normalized(h), 0.1)
    h = functional.conv2d(h, block.conv_out.weight, padding=1)
    expected = functional.leaky_relu(_normalized(h) + block.shortcut(x), 0.1)
    torch.testing.assert_close(block(x), expected)


def test_gate_scales_the_pixels_of_the_skip() -> None:
    torch.manual_seed(0)
    gate, h, skip = AttentionGate(4), normal(1, 3, 4, 5, 5), normal(2, 3, 4, 5, 5)
    met = functional.relu(_normalized(gate.asked(h)) + _normalized(gate.offered(skip)))
    share = torch.sigmoid(_normalized(gate.agreement(met)))
    assert share.shape == (3, 1, 5, 5)
    torch.testing.assert_close(gate(h, skip), skip * share)


def test_way_up_doubles_before_it_maps_and_asks_the_gate() -> None:
    torch.manual_seed(0)
    up, h, skip = GatedUp(8, 4).eval(), normal(1, 2, 8, 3, 3), normal(2, 2, 4, 6, 6)
    mapped = up.block(functional.interpolate(h, scale_factor=2, mode="bilinear"))
    assert torch.equal(up(h, skip), torch.cat([mapped, up.gate(mapped, skip)], dim=1))


def test_condition_comes_before_the_noise() -> None:
    network = AttentionGateUNet(GREY, 4, noise_channels=3, pools=1).eval()
    noise, condition = normal(1, 2, 3, 4, 4), normal(2, 2, 1, 4, 4)
    assert torch.equal(
        network.conditioned(noise, Condition(condition)), torch.cat([condition, noise], dim=1)
    )


def test_bounded_details_are_those_without_a_bound_after_tanh() -> None:
    torch.manual_seed(0)
    bounded = AttentionGateUNet(GREY, 4, 1, pools=1).eval()
    free = AttentionGateUNet(GREY, 4, 1, pools=1, bounded=False).eval()
    torch.nn.init.normal_(bounded.head.weight, std=30)
    free.load_state_dict(bounded.state_dict())
    inputs = normal(1, 2, 1, 8, 8), Condition(normal(2, 2, 1, 8, 8))
    assert free(*inputs).abs().max() > 1
    assert torch.equal(bounded(*inputs), free(*inputs).tanh())


@pytest.mark.parametrize("pools", [1, 2, 3, 4, 5])
def test_smallest_side_is_that_of_the_pools(pools: int) -> None:
    network = AttentionGateUNet(COLOURS, 4, 3, pools)
    side = 2**pools
    assert (
        network(normal(1, 2, 3, side, side), Condition(normal(2, 2, 3, side, side))).shape[2]
        == side
    )
    with pytest.raises(ValueError, match=f"{pools} halvings, got {side // 2}"):
        network.check_side(side // 2)


def test_network_without_pools_or_of_odd_width_is_refused() -> None:
    with pytest.raises(ValueError, match="pools must be at least 1, got 0"):
        AttentionGateUNet(COLOURS, 64, 3, pools=0)
    for width in (0, 6):
        with pytest.raises(
            ValueError, match=f"width must be a positive multiple of 4, got {width}"
        ):
            AttentionGateUNet(COLOURS, width, 3)


def _normalized(x: torch.Tensor) -> torch.Tensor:
    """Normalize channels over the batch, where biases before it do not matter."""
    variance, mean = torch.var_mean(x, dim=(0, 2, 3), keepdim=True, correction=0)
    return (x - mean) / (variance + 1e-5).sqrt()
