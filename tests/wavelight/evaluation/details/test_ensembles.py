"""The spread of an ensemble is compared with its error without bias."""

import math

import pytest
import torch

from wavelight.evaluation.details.ensembles import EnsembleScores

ALL = slice(None)


def scored(draws, true):
    scores = EnsembleScores()
    for some, truth in zip(draws.split(400, dim=1), true.split(400), strict=True):
        scores.update(some, truth)
    return scores.row("it", 1, "all", ALL)


@pytest.mark.parametrize("members", [2, 8])
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 2.0])
def test_the_ratio_is_the_factor_of_the_spread(members, factor):
    """Truths are N(mean, 0.6^2), means N(0, 0.8^2), and members N(mean, (0.6 * factor)^2)."""
    generator = torch.Generator().manual_seed(0)
    mean, left = torch.randn(2, 1000, 2, 4, 4, generator=generator)
    noise = torch.randn(members, 1000, 2, 4, 4, generator=generator)
    row = scored(0.8 * mean + 0.6 * factor * noise, 0.8 * mean + 0.6 * left)
    assert row.unit == pytest.approx(1, rel=0.02)
    assert row.ratio == pytest.approx(factor, rel=0.02)
    assert row.explained == pytest.approx(0.64, rel=0.02)
    # Of a normal distribution about a normal truth, from E|X - y| and E|X - X'| of normal variables.
    both, members_alone = math.hypot(0.6, 0.6 * factor), 0.6 * factor * math.sqrt(2)
    crps = math.sqrt(2 / math.pi) * (both - members_alone / 2)
    assert row.crps == pytest.approx(crps, rel=0.03)
    if factor == 0:
        assert row.spread == 0


def test_the_score_is_the_mean_over_pairs_of_different_members():
    generator = torch.Generator().manual_seed(0)
    draws, true = torch.randn(5, 6, 3, 2, 2, generator=generator), torch.randn(6, 3, 2, 2)
    pairs = (draws[:, None] - draws).abs().sum((0, 1)) / (5 * 4)
    expected = ((draws - true).abs().mean(0) - pairs / 2).mean() / true.var(
        (0, 2, 3), False
    ).mean().sqrt()
    assert scored(draws, true).crps == pytest.approx(float(expected), rel=1e-5)


def test_the_error_of_the_ratio_is_its_deviation_over_repetitions():
    generator = torch.Generator().manual_seed(0)
    # Images are of different contrast, as real ones.
    contrast = torch.rand(150, 60, 1, 1, 1, generator=generator) + 0.2
    rows = [
        scored(
            each * torch.randn(3, 60, 1, 4, 4, generator=generator),
            each * torch.randn(60, 1, 4, 4, generator=generator),
        )
        for each in contrast
    ]
    deviation = torch.tensor([row.ratio for row in rows]).std()
    mean_error = torch.tensor([row.ratio_error for row in rows]).mean()
    assert float(mean_error / deviation) == pytest.approx(1, rel=0.2)


def test_constant_details_are_refused():
    with pytest.raises(ValueError, match="true details of level 1, all, are constant"):
        scored(torch.zeros(2, 3, 1, 2, 2), torch.zeros(3, 1, 2, 2))
