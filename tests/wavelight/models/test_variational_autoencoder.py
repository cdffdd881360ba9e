"""A variational autoencoder: its two terms, whose weights they move, and what it samples."""

from functools import partial

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tests.systems import ADAM
from wavelight.factorizations import Factor
from wavelight.factors import FactorShape
from wavelight.models import VariationalAutoencoder
from wavelight.models.variational_autoencoder import divergence
from wavelight.networks import Autoencoder, ImprovedUNet
from wavelight.noise import Noise

SHAPE = FactorShape.square(3, 16)
NETWORK = partial(Autoencoder, latent_channels=2, width=8, multipliers=[1, 1])


def model(kl_weight=0.5, shape=SHAPE, network=NETWORK):
    torch.manual_seed(0)
    return VariationalAutoencoder(shape, network, ADAM, kl_weight)


def terms(found, image):
    return found.losses("autoencoder", Factor(image), 0, Noise(1, torch.arange(len(image))))


def test_divergence_is_that_of_two_gaussians():
    mean, log_variance = torch.randn(2, 50)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, log_variance), expected, atol=1e-5, rtol=1e-5)
    assert divergence(torch.zeros(1), torch.zeros(1)) == 0


def test_terms_are_the_error_of_a_noisy_latents_image_and_the_divergence():
    found, image = model(), torch.rand(4, 3, 16, 16)
    mean, log_variance = found.autoencoder.encode(image)
    noise = Noise(1, torch.arange(4)).normal(2, 4, 4)
    decoded = found.autoencoder(mean + log_variance.exp().sqrt() * noise)
    losses = terms(found, image)
    torch.testing.assert_close(losses["l1"], (decoded - image).abs().mean())
    torch.testing.assert_close(losses["kl"], 0.5 * divergence(mean, log_variance).mean())
    assert set(losses) == {"l1", "kl"}


def test_the_weight_is_that_of_the_divergence_alone():
    image = torch.rand(4, 3, 16, 16)
    one, other = terms(model(0.5), image), terms(model(0.25), image)
    assert other["l1"] == one["l1"]
    torch.testing.assert_close(2 * other["kl"], one["kl"])


def test_encoder_and_decoder_learn_by_the_reconstruction():
    found = model()
    terms(found, torch.rand(4, 3, 16, 16))["l1"].backward()
    heads = (found.autoencoder.encoder[-1], found.autoencoder.decoder[-1])
    assert all(head.weight.grad.abs().sum() > 0 for head in heads)


def test_samples_are_decoded_normal_latents():
    found = model()
    sampled = found.sample((3, 16, 16), None, Noise(2, torch.arange(5)))
    expected = found.autoencoder(Noise(2, torch.arange(5)).normal(2, 4, 4))
    assert torch.equal(sampled, expected)
    assert sampled.shape == (5, 3, 16, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kl_weight": -0.1}, "kl_weight must be at least 0, got -0.1"),
        ({"shape": FactorShape.square(9, 8, 3)}, "VariationalAutoencoder is unconditional"),
        (
            {"network": partial(ImprovedUNet, width=8, multipliers=[1], attention_resolutions=[])},
            "autoencoder of VariationalAutoencoder must be .*, got ImprovedUNet: take",
        ),
    ],
)
def test_parts_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        model(**changes)
