"""The latent of an autoencoder is standardised, decodes to reconstructions, and knows whose statistics it has."""

import pytest
import torch
from torch import nn

from data_modules import Scenes, WaveletDataModule
from wavelight.factorizations import Latent, Unscaled
from wavelight.factors import FactorShape
from wavelight.networks import Autoencoder


class Averages(nn.Module):
    """Encodes to the averages of 2x2 pixels, moved and stretched, and decodes to blocks of them."""

    channels = latent_channels = 3
    halvings = 1

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([1.0, 20.0, 0.1])[:, None, None])
        self.dropout = nn.Dropout()

    def encode(self, image):
        mean = nn.functional.avg_pool2d(image, 2) * self.gain + 5
        return self.dropout(mean), torch.zeros_like(mean)

    def forward(self, latent):
        return nn.functional.interpolate((latent - 5) / self.gain, scale_factor=2.0)


def small(seed=0):
    torch.manual_seed(seed)
    return Autoencoder(FactorShape.square(3, 16), 4, 8, [1, 2])


def data(folder):
    return WaveletDataModule(
        Scenes(32), 16, batch_size=8, num_workers=0, eval_batch_size=8, cache_dir=folder
    )


def fitted(network, folder, scaling=None):
    found = Latent(network, scaling)
    found.fit(data(folder).band_statistics(found.bands, found.levels, found.split))
    return found


def images(folder):
    return torch.cat([batch["image"] for batch in data(folder).reference_dataloader()])


@pytest.mark.parametrize("network", [Averages(), small()], ids=["averages", "small"])
def test_targets_have_unit_variance_over_the_training_set(network, tmp_path):
    factorization = fitted(network, tmp_path)
    assert factorization.needs_statistics()
    (factor,) = factorization.encode(images(tmp_path))
    assert factor.condition.ll is None
    std, mean = torch.std_mean(factor.target, (0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(std, torch.ones_like(std), atol=1e-4, rtol=0)


def test_decoding_a_target_reconstructs_the_image(tmp_path):
    factorization, image = fitted(Averages(), tmp_path), images(tmp_path)
    (factor,) = factorization.encode(image)
    expected = nn.functional.interpolate(nn.functional.avg_pool2d(image, 2), scale_factor=2.0)
    decoded = factorization.decode(lambda index, ll: factor.target)
    torch.testing.assert_close(decoded, expected, atol=1e-5, rtol=0)
    # Of constant blocks nothing is lost.
    again = factorization.encode(decoded)[0].target
    torch.testing.assert_close(again, factor.target, atol=1e-4, rtol=0)


def test_another_scaling_is_taken():
    (factor,) = Latent(Averages(), Unscaled()).encode(torch.ones(2, 3, 4, 4))
    assert factor.target.mean((0, 2, 3)).tolist() == pytest.approx([6, 25, 5.1])
    assert not Latent(Averages(), Unscaled()).needs_statistics()


def test_statistics_travel_in_the_state(tmp_path):
    factorization, other = fitted(small(), tmp_path), Latent(small(seed=1))
    image = images(tmp_path)[:4]
    assert not torch.equal(other.encode(image)[0].target, factorization.encode(image)[0].target)
    other.load_state_dict(factorization.state_dict())
    assert torch.equal(other.encode(image)[0].target, factorization.encode(image)[0].target)


def test_statistics_of_another_autoencoder_are_not_taken(tmp_path):
    """Both are measured of the same data, and kept in one folder."""
    assert Latent(small()).bands == Latent(small()).bands != Latent(small(seed=1)).bands
    first, second = fitted(small(), tmp_path), fitted(small(seed=1), tmp_path)
    assert not torch.allclose(first.scaled.scale, second.scaled.scale)
    assert len(list(tmp_path.glob("bands-*"))) == 2


def test_the_autoencoder_is_frozen():
    factorization = Latent(Averages()).train()
    assert factorization.training
    assert not factorization.autoencoder.dropout.training
    assert not any(weight.requires_grad for weight in factorization.parameters())
    assert factorization.networks() == {"autoencoder": factorization.autoencoder}


def test_shapes_follow_from_the_autoencoder():
    assert Latent(small()).target_shapes((3, 32, 16)) == [(4, 8, 4)]
    assert Latent(small()).condition_channels((3, 32, 16)) == [0]
    assert Latent(small()).factor_name(0) == "latent"


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 32, 18), r"image_size must be divisible by 2\*\*halvings = 4 .*, got 32x18"),
        ((1, 32, 32), "channels of the autoencoder must be those of the images, 1, got 3"),
    ],
)
def test_images_of_other_shapes_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        Latent(small()).target_shapes(shape)


def test_networks_that_do_not_encode_are_refused():
    with pytest.raises(
        ValueError, match=r"autoencoder must be a network with encode, .* got Linear: take"
    ):
        Latent(nn.Linear(2, 2))
