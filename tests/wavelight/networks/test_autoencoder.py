"""The small autoencoder halves as often as it says, encodes to a Gaussian, and is a network that learns."""

import pytest
import torch

from wavelight.factors import FactorShape
from wavelight.networks import Autoencoder


def autoencoder(side=16, multipliers=(1, 2), latent_channels=3, **changes):
    torch.manual_seed(0)
    options = {"width": 8, "blocks": 1} | changes
    return Autoencoder(
        FactorShape.square(2, side), latent_channels, multipliers=multipliers, **options
    )


@pytest.mark.parametrize("multipliers", [[1], [1, 2], [1, 1, 2]])
def test_a_multiplier_is_a_halving(multipliers):
    network, image = autoencoder(multipliers=multipliers), torch.rand(5, 2, 16, 24)
    mean, log_variance = network.encode(image)
    side = 16 >> len(multipliers)
    assert network.halvings == len(multipliers)
    assert mean.shape == log_variance.shape == (5, 3, side, side * 3 // 2)
    assert network(mean).shape == image.shape


def test_an_image_is_encoded_and_decoded_alike_in_any_batch():
    network, image = autoencoder(), torch.rand(3, 2, 16, 16)
    latent, _ = network.encode(image)
    alone, _ = network.encode(image[1:2])
    torch.testing.assert_close(alone, latent[1:2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(network(latent)[1:2], network(alone), atol=1e-5, rtol=1e-5)


def test_latents_see_their_neighbourhood_alone():
    """Of convolutions alone: a far corner, beyond all kernels, changes what normalization passes on, and no more."""
    network = autoencoder(side=64, multipliers=[1])
    for module in network.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.forward = lambda x: x  # statistics of the whole image are not what is tested
    image = torch.rand(1, 2, 64, 64)
    changed = image.clone()
    changed[..., 48:, 48:] = 0
    (before, _), (after, _) = network.encode(image), network.encode(changed)
    assert torch.equal(before[..., :16, :16], after[..., :16, :16])
    assert not torch.equal(before[..., 24:, 24:], after[..., 24:, 24:])


def test_it_learns_to_reconstruct_one_batch():
    """Smooth images, of no more numbers than the latent has."""
    network, coarse = autoencoder(width=16), torch.rand(4, 2, 4, 4) * 2 - 1
    image = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    errors = []
    for _ in range(40):
        error = (network(network.encode(image)[0]) - image).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < image.var().item() / 5 < errors[0]


def test_every_weight_learns():
    network, image = autoencoder(blocks=2), torch.rand(4, 2, 16, 16)
    # The second convolution of a block starts at zero, and so shows the first no gradient yet.
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("conv_out.weight"):
                weight.normal_(std=0.1)
    mean, log_variance = network.encode(image)
    (network(mean).square().mean() + log_variance.square().mean()).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"side": 10}, r"image_size must be divisible by 2\*\*2 = 4 .*, got 10x10: give fewer"),
        ({"latent_channels": 0}, "latent_channels must be at least 1, got 0"),
        ({"multipliers": []}, "multipliers must be at least 1, got 0"),
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
    ],
)
def test_impossible_networks_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        autoencoder(**changes)


def test_images_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="got 16x18"):
        autoencoder().encode(torch.rand(1, 2, 16, 18))


def test_details_are_refused():
    with pytest.raises(ValueError, match="Autoencoder is unconditional and cannot model detail"):
        Autoencoder(FactorShape.square(9, 8, 3), 4, 8, [1])
