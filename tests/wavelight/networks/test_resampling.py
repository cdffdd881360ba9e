"""The filters of resampling, against their definition."""

import torch
from torch.nn import functional as F

from tests.wavelight.networks.golden import normal
from wavelight.networks.resampling import FilteredDown, FilteredUp

TAPS = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0]))


def test_impulse_becomes_the_filter() -> None:
    impulse = torch.zeros(1, 1, 4, 4)
    impulse[0, 0, 1, 1] = 1
    expected = torch.zeros(8, 8)
    expected[1:5, 1:5] = TAPS / 16
    torch.testing.assert_close(FilteredUp()(impulse)[0, 0], expected)


def test_down_is_the_transpose_of_up() -> None:
    small, large = normal(1, 2, 3, 4, 4), normal(2, 2, 3, 8, 8)
    torch.testing.assert_close((FilteredUp()(small) * large).sum(), 4 * (small * FilteredDown()(large)).sum())


def test_down_filters_and_keeps_every_second_sample() -> None:
    image = normal(1, 2, 3, 8, 8)
    filtered = F.conv2d(F.pad(image, [1, 1, 1, 1]).flatten(0, 1)[:, None], TAPS[None, None] / 64)
    expected = filtered[:, 0].unflatten(0, (2, 3))[..., ::2, ::2]
    torch.testing.assert_close(FilteredDown()(image), expected)


def test_filters_are_no_weights() -> None:
    assert FilteredUp().state_dict() == {}
    assert list(FilteredDown().parameters()) == []
