import pytest
import torch

from tests.wavelight.models.details import ADAM, SHAPE, factor, generator, noise
from wavelight.factors import FactorShape
from wavelight.models import DetailRegression


def regression(noise_channels=0, mse_weight=20.0, ssim_weight=0.5, shape=SHAPE):
    torch.manual_seed(0)
    return DetailRegression(shape, generator(noise_channels), ADAM, mse_weight, ssim_weight)


def test_it_has_one_player_and_the_terms_that_have_weights():
    model = regression()
    assert list(model.players()) == ["generator"]
    assert set(model.losses("generator", factor(1), 0, noise())) == {"mse", "ssim"}
    model = regression(ssim_weight=0.0)
    assert set(model.losses("generator", factor(1), 0, noise())) == {"mse"}
    model = regression(mse_weight=0.0)
    assert set(model.losses("generator", factor(1), 0, noise())) == {"ssim"}


def test_true_details_have_no_loss():
    known = factor(2)
    losses = regression().reconstruction_losses(known, known.target)
    assert losses["mse"] == 0
    assert losses["ssim"].item() == pytest.approx(0, abs=1e-6)


def test_the_same_is_drawn_every_time():
    model, condition = regression().eval(), factor(2).condition
    assert torch.equal(*(model.sample((9, 8, 8), condition, noise()) for _ in range(2)))


def test_a_generator_with_noise_is_refused():
    with pytest.raises(
        ValueError,
        match=r"noise_channels of the generator must be 0 for DetailRegression, .*, got 3",
    ):
        regression(noise_channels=3)


def test_its_generator_is_built_for_the_factor():
    model = regression(shape=FactorShape.square(3, 16, 1))
    assert (model.generator.channels, model.generator.condition_channels) == (3, 1)
    with pytest.raises(ValueError, match="DetailRegression models details given LL, which this"):
        regression(shape=FactorShape.square(3, 16))


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match=r"mse_weight must be at least 0, got -1.0"):
        regression(mse_weight=-1.0)
    with pytest.raises(ValueError, match="the generator would learn nothing"):
        regression(mse_weight=0.0, ssim_weight=0.0)
