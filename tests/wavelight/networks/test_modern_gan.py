"""The networks of R3GAN's blocks start as their blocks ask, and resample without moving anything."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from tests.golden import normal
from wavelight.factors import Condition, FactorShape
from wavelight.networks import GroupedDiscriminator, GroupedUNet
from wavelight.networks.modern_gan import GroupedBlock, downsample, upsample

DETAILS = FactorShape.square(9, 32, 3)


def test_block_has_the_size_of_its_formula() -> None:
    block = GroupedBlock(96, blocks=8)
    maps, grouped, biases = 2 * 96 * 192, 192 * 16 * 9, 2 * 192
    assert sum(p.numel() for p in block.parameters()) == maps + grouped + biases
    assert block.convolution.groups == 12


def test_block_starts_as_the_identity() -> None:
    block, x = GroupedBlock(8, blocks=2), normal(1, 2, 8, 4, 4)
    assert torch.equal(block(x), x)
    nn.init.ones_(block.narrow.weight)
    assert not torch.allclose(block(x), x)


def test_maps_keep_the_variance_up_to_the_number_of_blocks() -> None:
    torch.manual_seed(0)
    x = normal(1, 4, 512, 16, 16)
    for blocks in (1, 16):
        block = GroupedBlock(512, blocks)
        h = functional.leaky_relu(block.widen(x), 0.2)
        share = blocks**-0.5  # of variance, of which the scale is the root
        assert h.square().mean().item() == pytest.approx(share, rel=0.05)
        h = functional.leaky_relu(block.convolution(h), 0.2)[..., 1:-1, 1:-1]
        assert h.square().mean().item() == pytest.approx(share**2, rel=0.1)


def test_halving_filters_by_one_two_one() -> None:
    x = normal(1, 2, 3, 8, 12)
    taps = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = torch.outer(taps, taps).expand(3, 1, 3, 3)
    expected = functional.conv2d(x, kernel, stride=2, padding=1, groups=3)
    torch.testing.assert_close(downsample(x), expected)


def test_doubling_is_four_times_the_transpose_of_halving() -> None:
    x, small = normal(1, 2, 3, 8, 12), normal(2, 2, 3, 4, 6)
    assert torch.equal(upsample(small)[..., ::2, ::2], small)
    torch.testing.assert_close((upsample(small) * x).sum(), 4 * (small * downsample(x)).sum())


@pytest.mark.parametrize(
    ("width", "multipliers", "generator", "discriminator", "billions"),
    [
        (64, [1, 2, 4, 8], 4_726_793, 3_527_489, 0.42),
        (96, [1, 2, 4, 8], 10_017_801, 7_509_217, 0.83),
    ],
)
def test_sizes_stay(
    width: int, multipliers: list[int], generator: int, discriminator: int, billions: float
) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        player = GroupedUNet(DETAILS, width, multipliers, 3)
        critic = GroupedDiscriminator(DETAILS, width, multipliers)
        ll = torch.empty(1, 3, 32, 32)
        assert player(torch.empty(1, 3, 32, 32), Condition(ll)).shape == (1, 9, 32, 32)
    assert sum(p.numel() for p in player.parameters()) == generator
    assert sum(p.numel() for p in critic.parameters()) == discriminator
    assert round(counter.get_total_flops() / 2e9, 2) == billions


def test_details_start_linear_in_what_they_are_drawn_from() -> None:
    torch.manual_seed(0)
    network = GroupedUNet(DETAILS, 16, [1, 2], 3)
    noise, condition = normal(1, 2, 3, 8, 8), normal(2, 2, 3, 8, 8)
    twice = network(2 * noise, Condition(2 * condition))
    torch.testing.assert_close(twice, 2 * network(noise, Condition(condition)))
    assert 0.3 < twice.std() < 3


def test_one_resolution_is_enough() -> None:
    network = GroupedUNet(DETAILS, 16, [1], 3)
    assert network(normal(1, 2, 3, 5, 7), Condition(normal(2, 2, 3, 5, 7))).shape == (2, 9, 5, 7)
    critic = GroupedDiscriminator(FactorShape.square(9, 5), 16, [1])
    assert critic(normal(1, 2, 9, 5, 5)).shape == (2, 1)


def test_multipliers_are_fitted_to_the_smallest_side() -> None:
    """From 16 pixels to 4 are two halvings, whatever the number of multipliers."""
    generator = GroupedUNet(FactorShape.square(9, 16, 3), 8, [1, 2], 3, blocks=1, smallest_side=4)
    assert [stage[0].narrow.out_channels for stage in generator.encoder] == [8, 16, 16]
    assert generator.halvings == 2
    critic = GroupedDiscriminator(
        FactorShape.square(3, 16, 3), 8, [1, 2, 3, 4], blocks=1, smallest_side=4
    )
    assert [stage[0].narrow.out_channels for stage in critic.stages] == [16, 24, 32]
    assert critic.basis.kernel_size == (4, 4)


def test_images_of_another_resolution_are_refused() -> None:
    critic = GroupedDiscriminator(FactorShape.square(3, 16), 8, [1, 1])
    with pytest.raises(ValueError, match=r"images must be 16x16 pixels, got \(16, 8\)"):
        critic(normal(1, 2, 3, 16, 8))


def test_sizes_that_do_not_split_are_refused() -> None:
    for width in (0, 12):
        with pytest.raises(ValueError, match=f"channels must be a multiple of 8 .*, got {width}"):
            GroupedUNet(DETAILS, width, [1, 2], 3)
    with pytest.raises(
        ValueError, match="resolution must be divisible by 8 for 4 multipliers, got 12"
    ):
        GroupedDiscriminator(FactorShape.square(3, 12), 8, [1, 1, 1, 1])
    with pytest.raises(ValueError, match="multipliers is empty: give one for each resolution"):
        GroupedUNet(DETAILS, 8, [], 3)
