"""Images with all true bands are the real ones, and with none those of sampling."""

import torch

from tests.systems import tiny_hybrid
from tests.wavelight.evaluation.details.toy import images
from wavelight.evaluation.details.true_bands import given_true_bands


def test_with_true_bands_the_rest_is_drawn():
    system, index = tiny_hybrid().eval(), torch.arange(4)
    true = images(4).float() / 127.5 - 1
    generated = [given_true_bands(system, true, known, index, seed=5) for known in range(4)]
    assert torch.equal(generated[0], system.generate(index, seed=5))
    assert (generated[3] - true).abs().max() < 1e-5
    for known in (1, 2):
        assert (generated[known] - true).abs().max() > 0.1
    # Of the finest level details alone are generated, and clamping is all that moves the coarse band.
    system.bounded = False
    finest = given_true_bands(system, true, 2, index, seed=5)
    (coarse, _), (expected, _) = map(system.factorization.split, (finest, true))
    assert (coarse - expected).abs().max() < 1e-5
