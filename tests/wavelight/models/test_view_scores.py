"""Scores of views see what the views see, and how numbers go together where they are scored together."""

import pytest
import torch

from wavelight.factorizations.base import Factor
from wavelight.factorizations.views import Channels, DifferencePackets, ShiftedPackets
from wavelight.models.view_scores import ViewScores


def colours(correlation, seed, *shape):
    """Standard normal numbers whose channels are correlated."""
    random = torch.Generator().manual_seed(seed)
    common, own = (torch.randn(*shape, 3, 4, 4, generator=random) for _ in range(2))
    return correlation**0.5 * common[..., :1, :, :] + (1 - correlation) ** 0.5 * own


def score(view, correlation):
    """The score of an ensemble of so correlated channels, where those of the truth are correlated by 0.9."""
    truth, ensemble = colours(0.9, 0, 4000), colours(correlation, 1, 2, 4000)
    (found,) = ViewScores([view], 4)(ensemble, Factor(truth), 0).values()
    return found.item()


def test_only_scores_of_vectors_see_that_channels_go_together():
    alone = [score(Channels(), correlation) for correlation in (0.0, 0.9)]
    assert alone[0] == pytest.approx(alone[1], abs=0.005)
    together = [score(Channels(joint=True), correlation) for correlation in (0.0, 0.9)]
    assert together[0] > together[1] + 0.01


def test_a_vector_of_equal_numbers_scores_as_each_of_them():
    truth, ensemble = colours(1.0, 0, 16), colours(1.0, 1, 2, 16)
    alone, together = (
        ViewScores([Channels(joint=joint)], 4)(ensemble, Factor(truth), 0)["channels"]
        for joint in (False, True)
    )
    torch.testing.assert_close(alone, together)


def test_views_of_one_kind_have_names_of_their_own():
    views = [ShiftedPackets(1), DifferencePackets(1), ShiftedPackets(2), Channels(weight=0.0)]
    found = ViewScores(views, 4)(colours(0.0, 1, 2, 8), Factor(colours(0.0, 0, 8)), 0)
    assert list(found) == ["packets", "differences", "packets_2"]
    assert found["packets"] != found["packets_2"]
