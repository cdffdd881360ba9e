"""Parts of the shares of a batch hold whole groups of the images that one process would compare."""

import pytest
import torch

from tests.systems import TINY_DISCRIMINATOR
from wavelight.factors import FactorShape
from wavelight.networks import ResidualDiscriminator
from wavelight.support.errors import OptionError
from wavelight.systems.parts import Parts, group_of

GROUP = 4


def groups(images):
    """Return the groups of images that are compared, as sets: every (N / 4)-th of them."""
    stride = len(images) // GROUP
    return {frozenset(images[first::stride]) for first in range(stride)}


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("processes", [1, 2, 3, 4, 6, 8])
def test_parts_of_all_processes_form_the_groups_of_the_batch(number, processes):
    batch = torch.arange(48 * number)
    parts = Parts(number, GROUP, processes)
    shares = batch.chunk(processes)
    parts.check(len(shares[0]))
    ordered = [parts.ordered({"index": share})["index"] for share in shares]
    found = set()
    for start, stop in parts.ranges(len(shares[0])):
        found |= groups(torch.cat([share[start:stop] for share in ordered]).tolist())
    assert found == groups(batch.tolist())
    for share, mine in zip(shares, ordered, strict=True):
        assert sorted(mine.tolist()) == share.tolist()


def test_whole_shares_and_images_that_do_not_meet_stay_in_their_order():
    batch = {"image": torch.rand(24, 1), "index": torch.arange(24)}
    for parts in (Parts(1, GROUP, 1), Parts(2, 1, 1)):
        assert all(torch.equal(each, batch[name]) for name, each in parts.ordered(batch).items())
    assert Parts(3, 1, 1).ranges(24) == [(0, 8), (8, 16), (16, 24)]


def test_all_tensors_of_a_batch_are_ordered_alike():
    index = torch.arange(16)
    ordered = Parts(2, GROUP, 1).ordered({"image": index[:, None] * 10.0, "index": index})
    assert ordered["index"].tolist() == [0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15]
    assert torch.equal(ordered["image"][:, 0], ordered["index"] * 10.0)


@pytest.mark.parametrize(
    ("parts", "share", "multiple"),
    [
        (Parts(2, GROUP, 1), 12, 8),
        (Parts(2, GROUP, 2), 6, 8),
        (Parts(4, GROUP, 4), 6, 16),
        (Parts(2, GROUP, 3), 4, 24),
    ],
)
def test_parts_that_would_split_groups_are_refused(parts, share, multiple):
    with pytest.raises(OptionError, match=f"a multiple of {multiple}, or another number"):
        parts.check(share)
    parts.check(multiple // parts.processes)
    parts._replace(number=1).check(share)


def test_networks_say_how_many_images_they_compare():
    shape = FactorShape.square(3, 16)
    assert group_of(TINY_DISCRIMINATOR(shape)) == GROUP
    assert group_of(ResidualDiscriminator(shape, 4, 1)) == 1
