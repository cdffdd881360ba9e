"""Views of details are the linear maps that they say."""

import pytest
import torch

from tests.golden import normal
from wavelight.factorizations.scaling import Eigenbasis, PerChannel, ScaledBand
from wavelight.factorizations.views import (
    Channels,
    DifferencePackets,
    HalfWhitened,
    ShiftedPackets,
)
from wavelight.wavelets import BandStatistics


def band(scaling, details):
    values = details.transpose(0, 1).flatten(1)
    scaled = ScaledBand(scaling, 1, len(values))
    scaled.fit(BandStatistics(values.mean(1), values.std(1), values.abs().amax(1), values.cov()))
    return scaled


def coloured():
    """Details whose channels have covariances."""
    mix = torch.eye(3) + 0.8 * torch.ones(3, 3).tril(-1)
    return torch.einsum("ij,njhw->nihw", mix, normal(1, 16, 3, 8, 8))


def test_channels_are_standardised_whatever_the_basis():
    details = coloured()
    mixed, plain = band(Eigenbasis(), details), band(PerChannel(), details)
    seen = Channels()(mixed(details), mixed, 0)
    torch.testing.assert_close(seen, plain(details), atol=1e-4, rtol=1e-4)
    assert torch.equal(Channels()(plain(details), plain, 0), plain(details))


def test_half_whitened_components_have_the_root_of_their_power():
    details = coloured()
    mixed = band(Eigenbasis(), details)
    covariance = HalfWhitened()(mixed(details), mixed, 0).transpose(0, 1).flatten(1).cov()
    torch.testing.assert_close(covariance, mixed.powers().sqrt().diag(), atol=1e-3, rtol=0)
    assert torch.equal(HalfWhitened()(details, band(PerChannel(), details), 0), details)


def test_packets_are_signed_sums_of_a_block_somewhere():
    details = normal(2, 2, 1, 8, 8)
    plain = ScaledBand(PerChannel(), 1, 1)
    view = ShiftedPackets(levels=2)
    corners = set()
    for turn in range(24):
        packets = view(details, plain, turn)
        assert packets.shape == (2, 16, 2, 2)
        torch.testing.assert_close(packets.square().sum(), details.square().sum())
        # The first packet is the sum of a block of 4 x 4 over 4, of details that go on periodically.
        sums = {
            (y, x): torch.roll(details, (y, x), (2, 3))[0, 0, :4, :4].sum() / 4
            for y in range(4)
            for x in range(4)
        }
        corners |= {
            where for where, s in sums.items() if torch.isclose(s, packets[0, 0, 0, 0], atol=1e-5)
        }
        assert torch.equal(packets, view(details, plain, turn))
    assert len(corners) > 8


def test_differences_of_fields_of_spectrum_one_over_f_are_as_strong_in_all_packets():
    side = 16
    across, down = torch.fft.rfftfreq(side), torch.fft.fftfreq(side)
    frequency = (across**2 + down[:, None] ** 2).sqrt()
    frequency[0, 0] = torch.inf
    fields = torch.fft.irfft2(torch.fft.rfft2(normal(4, 256, 1, side, side)) / frequency)
    ratios = {}
    for view in (ShiftedPackets(levels=2), DifferencePackets(levels=2)):
        strength = view(fields, None, 0).std((0, 2, 3))
        ratios[view.name] = (strength.max() / strength.min()).item()
    assert ratios["packets"] > 5
    assert ratios["differences"] < 4
    seen = DifferencePackets(levels=1)(fields, None, 3)
    assert seen.shape == (256, 8, 8, 8)
    squares = sum((fields - fields.roll(1, dims)).square().sum() for dims in (2, 3))
    torch.testing.assert_close(seen.square().sum(), squares)


def test_sides_that_do_not_halve_so_often_are_refused():
    ShiftedPackets(levels=2).check(8)
    with pytest.raises(
        ValueError, match=r"levels of ShiftedPackets .*, got 2 for side 6: give fewer"
    ):
        ShiftedPackets(levels=2).check(6)
    with pytest.raises(ValueError, match=r"levels must be at least 1, got 0"):
        ShiftedPackets(levels=0)
    with pytest.raises(ValueError, match=r"weight must be at least 0, got -1"):
        Channels(weight=-1)
