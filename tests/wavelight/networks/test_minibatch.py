"""The minibatch standard deviation compares the published groups of a batch."""

import pytest
import torch

from tests.golden import normal
from wavelight.networks.minibatch import MinibatchStandardDeviation, minibatch_standard_deviation


def test_spread_compares_every_second_image_of_eight() -> None:
    flat = torch.arange(8.0)[:, None, None, None].expand(8, 2, 3, 3)
    # Images 0, 2, 4, 6 are one group, and 1, 3, 5, 7 the other.
    assert minibatch_standard_deviation(flat).shape == (8, 1, 3, 3)
    torch.testing.assert_close(minibatch_standard_deviation(flat), torch.full((8, 1, 3, 3), 5**0.5))
    only_odd = flat * (flat % 2)
    assert minibatch_standard_deviation(only_odd)[0::2].max() < 1e-3
    torch.testing.assert_close(
        minibatch_standard_deviation(only_odd)[1::2], torch.full((4, 1, 3, 3), 5**0.5)
    )


def test_batch_that_fills_no_group_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"the batch must be a multiple of group = 4 \(minibatch standard deviation\), got 6",
    ):
        minibatch_standard_deviation(torch.zeros(6, 1, 2, 2))


def test_it_is_put_after_the_features() -> None:
    h = normal(1, 8, 2, 3, 3)
    layer = MinibatchStandardDeviation()
    assert not layer.state_dict()
    for found in (layer(h), layer.eval()(h)):
        assert torch.equal(found, torch.cat([h, minibatch_standard_deviation(h)], dim=1))
