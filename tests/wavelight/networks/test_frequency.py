"""The frequency-aware blocks, against their definition written out (Phung et al. 2023, section 4.3)."""

from math import sqrt

import torch
from torch.nn import functional

from tests.golden import normal
from wavelight.networks.frequency import (
    FrequencyDownBlock,
    FrequencyUpBlock,
    WaveletDown,
    refine_coarse,
)
from wavelight.networks.modulation import Modulation
from wavelight.networks.residual import ResidualBlock, Sizes
from wavelight.wavelets import dwt2, idwt2

CHANNELS = 8
SIZES = Sizes(step=4, style=4)


def modulation() -> Modulation:
    return Modulation(
        normal(1, 2, CHANNELS), normal(2, 2, 2 * CHANNELS), normal(3, 2, 2 * CHANNELS)
    )


def shaken(block):
    """Give a block weights that leave nothing silent."""
    with torch.no_grad():
        for i, parameter in enumerate(block.parameters()):
            parameter.copy_(0.3 * normal(10 + i, *parameter.shape))
    return block


def opened(block, x):
    return functional.silu(block.norm_in(x, modulation().affine_in))


def closed(block, h, x):
    h = h + modulation().shift[:, :, None, None]
    h = block.conv_out(functional.silu(block.norm_out(h, modulation().affine_out)))
    return (x + h) / sqrt(2)


def published_order(details):
    """Exchange the mixed bands: the published networks have high along the width first."""
    rows, columns, diagonal = details.chunk(3, dim=1)
    return torch.cat([columns, rows, diagonal], dim=1)


def test_down_takes_half_of_ll_and_hands_on_the_rest() -> None:
    block, x = shaken(FrequencyDownBlock(CHANNELS, SIZES)), normal(5, 2, CHANNELS, 8, 8)
    halved = block(x, modulation())
    h, details = dwt2(block.conv_in(opened(block, x)))
    passed, _ = dwt2(block.shortcut(x))
    torch.testing.assert_close(halved.features, closed(block, h / 2, passed / 2))
    torch.testing.assert_close(halved.details, published_order(details))


def test_up_puts_the_same_details_into_both_branches() -> None:
    block = shaken(FrequencyUpBlock(CHANNELS, 4, SIZES))
    x, details = normal(5, 2, CHANNELS, 4, 4), normal(6, 2, 12, 4, 4)
    bands = published_order(2 * block.details(details / 2))
    h = idwt2(2 * block.conv_in(opened(block, x)), bands)
    passed = idwt2(2 * block.shortcut(x), bands)
    expected = closed(block, h, passed)
    torch.testing.assert_close(block(x, details, modulation()), expected, atol=1e-5, rtol=1e-5)


def test_pyramid_convolves_the_halved_bands() -> None:
    layer, x = shaken(WaveletDown(3, 5)), normal(5, 2, 3, 8, 8)
    coarse, details = dwt2(x)
    bands = torch.cat([coarse, published_order(details)], dim=1) / 2
    expected = functional.conv2d(bands, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_bottleneck_changes_ll_alone() -> None:
    block, x = shaken(ResidualBlock(CHANNELS, CHANNELS, SIZES)), normal(5, 2, CHANNELS, 8, 8)
    coarse, details = dwt2(refine_coarse(block, x, modulation()))
    before, details_before = dwt2(x)
    torch.testing.assert_close(coarse, 2 * block(before / 2, modulation()), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(details, details_before, atol=1e-5, rtol=1e-5)
