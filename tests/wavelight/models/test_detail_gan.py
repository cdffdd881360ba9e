import re
from functools import partial

import pytest
import torch

from tests.wavelight.models.details import ADAM, SHAPE, factor, generator, noise
from wavelight.factorizations.scaling import Unscaled
from wavelight.factors import Condition, FactorShape
from wavelight.losses import BoundedCriticLoss, NonSaturatingLoss, RpGANLoss
from wavelight.losses.reconstruction import dissimilarity
from wavelight.models import DetailGAN, DetailRegression
from wavelight.models.reconstructing import completed_side
from wavelight.networks import (
    GroupedDiscriminator,
    GroupedUNet,
    ResidualDiscriminator,
)
from wavelight.noise import Noise

GAMES = [BoundedCriticLoss(), NonSaturatingLoss(0.1, 1), RpGANLoss(0.1)]


def discriminator(conditional=False):
    return partial(ResidualDiscriminator, width=4, blocks=2, conditional=conditional)


def gan(**changes):
    torch.manual_seed(0)
    options = {
        "shape": SHAPE,
        "generator": generator(),
        "discriminator": discriminator(),
        "generator_optimizer": ADAM,
        "discriminator_optimizer": ADAM,
        "adversarial_loss": BoundedCriticLoss(),
        "adversarial_weight": 0.1,
        "mse_weight": 20.0,
        "ssim_weight": 0.5,
        "discriminator_every": 4,
    }
    return DetailGAN(**(options | changes))


@pytest.mark.parametrize("game", GAMES, ids=lambda game: type(game).__name__)
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_players_loss_is_its_own(player, game, conditional):
    model = gan(adversarial_loss=game, discriminator=discriminator(conditional))
    players = model.players()
    assert list(players) == ["discriminator", "generator"]
    for name, other in players.items():
        other.network.requires_grad_(name == player)
    sum(model.losses(player, factor(2), 0, noise()).values()).backward()
    for name, other in players.items():
        gradients = [parameter.grad for parameter in other.network.parameters()]
        assert all((gradient is not None) == (name == player) for gradient in gradients)


@pytest.mark.parametrize("level", [1, 2])
def test_losses_are_the_published_ones(level):
    """Equation 17: images of [0, 1] are ours plus their peak, halved."""
    model, known = gan(), factor(level)
    model.discriminator.eval()  # dropout
    losses = model.losses("generator", known, 0, noise())
    details = model.generator(
        noise().normal(3, *known.condition.true_ll().shape[2:]), known.condition
    )
    peak = 2 ** (level - 1)
    predicted, true = ((known.finer(x) + peak) / 2 for x in (details, known.target))
    assert true.min() >= 0
    assert peak / 2 < true.max() <= peak
    torch.testing.assert_close(losses["mse"], 20 * (predicted - true).square().mean())
    torch.testing.assert_close(losses["ssim"], 0.5 * dissimilarity(predicted / peak, true / peak))
    score = torch.sigmoid(model.discriminator(2 * predicted / peak - 1)).mean()
    torch.testing.assert_close(losses["adversarial"], -0.1 * score)
    losses = model.losses("discriminator", known, 0, noise())
    torch.testing.assert_close(losses["fake"], score / 2)
    score = torch.sigmoid(model.discriminator(2 * true / peak - 1)).mean()
    torch.testing.assert_close(losses["real"], -score / 2)


def test_details_and_pixels_are_apart_in_the_same_way():
    """The transform is orthonormal: three of four bands differ, so the mean has three quarters."""
    model, known = gan(), factor(2, Unscaled())
    losses = model.losses("generator", known, 0, noise())
    details = model.generator(noise().normal(3, 8, 8), known.condition)
    error = 0.75 * ((details - known.target) / 2).square().mean()
    torch.testing.assert_close(losses["mse"], 20 * error)


def test_the_discriminator_rests_between_its_turns():
    model = gan(adversarial_loss=NonSaturatingLoss(0.1, 2))
    terms = [set(model.losses("discriminator", factor(1), turn, noise())) for turn in range(13)]
    assert [len(names) for names in terms] == [3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2]
    assert all(model.losses("generator", factor(1), turn, noise()) for turn in range(5))


def test_the_discriminator_is_told_the_condition_where_it_asks():
    for conditional in (False, True):
        model = gan(discriminator=discriminator(conditional), discriminator_every=1).eval()
        known = factor(1)
        one = model.losses("discriminator", known, 0, noise())["real"]
        other = known._replace(condition=Condition(known.condition.true_ll().flip(0)))
        told = model.losses("discriminator", other, 0, noise())["real"]
        assert torch.equal(one, told) != conditional


def test_without_the_game_it_is_regression():
    model = gan(generator=generator(noise_channels=0), adversarial_weight=0.0)
    regression = DetailRegression(SHAPE, lambda _: model.generator, ADAM, 20.0, 0.5)
    one, two = (each.losses("generator", factor(2), 0, noise()) for each in (model, regression))
    assert one.keys() == two.keys() == {"mse", "ssim"}
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_penalties_are_computed_in_float32_under_autocast():
    torch.manual_seed(0)
    model = gan(adversarial_loss=RpGANLoss(0.1))
    model.discriminator.eval()  # dropout
    exact = model.losses("discriminator", factor(1), 0, noise())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.losses("discriminator", factor(1), 0, noise())
    assert torch.equal(exact["r1"], mixed["r1"])
    assert not torch.equal(exact["r2"], mixed["r2"])  # of what a bfloat16 generator samples
    assert all(loss.dtype == torch.float32 for loss in mixed.values())


def test_samples_are_one_evaluation_and_do_not_depend_on_the_batch():
    model, condition, calls = gan().eval(), factor(2).condition, []
    model.generator.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        whole = model.sample((9, 8, 8), condition, Noise(3, torch.arange(4)))
        part = model.sample((9, 8, 8), condition.part(2, 3), Noise(3, torch.tensor([2])))
    assert len(calls) == 2
    torch.testing.assert_close(whole[2:3], part, atol=1e-5, rtol=0)


def grouped(conditional):
    """Return what builds a discriminator that is made for one size."""
    return partial(
        GroupedDiscriminator, width=8, multipliers=[1, 1], blocks=1, conditional=conditional
    )


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize(
    ("shape", "channels", "side"),
    [
        (SHAPE, 3, 16),  # three bands complete images of twice their side
        (FactorShape.square(3, 16, 1), 1, 32),
        (FactorShape.square(3, 8, 3), 3, 8),  # the residual of a Laplacian pyramid has their side
        (FactorShape.square(1, 8, 1), 1, 8),
    ],
)
def test_networks_are_built_for_the_factor(shape, channels, side, conditional):
    model = gan(shape=shape, discriminator=grouped(conditional))
    assert model.generator.channels == shape.channels
    assert model.generator.condition_channels == shape.condition_channels
    assert completed_side(shape) == side
    assert model.discriminator.channels == channels
    assert model.discriminator.resolution == side
    assert model.discriminator.condition_channels == (channels if conditional else 0)


def test_a_generator_of_other_blocks_serves():
    modern = partial(GroupedUNet, width=8, multipliers=[1, 1], noise_channels=3, blocks=1)
    model = gan(generator=modern, discriminator=grouped(True), discriminator_every=1)
    for player in ("discriminator", "generator"):
        losses = model.losses(player, factor(2), 0, noise())
        assert all(loss.isfinite() for loss in losses.values())
    model.check(bounded=False)  # it has no tanh


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"shape": FactorShape.square(9, 9, 3)},
            "the side of LL must be a multiple of 2 for the generator's 1 halvings, got 9: "
            "use fewer pools, multipliers or levels",
        ),
        (
            {"shape": FactorShape.square(9, 2, 3)},
            "ssim_weight must be 0 where details complete images of a side below 6, got 0.5 for side 4: "
            "give ssim_weight 0, or fewer levels",
        ),
        (
            {"shape": FactorShape.square(3, 8)},
            "DetailGAN models details given LL, which this factor has not; use it for the details of a pyramid",
        ),
    ],
)
def test_factors_that_it_cannot_model_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        gan(**changes)


def test_details_of_small_images_need_no_ssim():
    small = FactorShape.square(9, 2, 3)
    assert gan(shape=small, ssim_weight=0.0).generator.channels == 9
    assert gan(shape=FactorShape.square(9, 4, 3)).generator.channels == 9


def test_a_tanh_that_cannot_reach_the_details_is_refused():
    gan().check(bounded=True)
    gan(generator=generator(bounded=False)).check(bounded=False)
    with pytest.raises(
        ValueError,
        match=r"^scaling must keep bands in \[-1, 1\] for a generator that ends in tanh, got one that "
        r"does not: take Half or Peak, or give the generator bounded: false$",
    ):
        gan().check(bounded=False)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"discriminator_every": 0}, "discriminator_every must be at least 1, got 0"),
        ({"adversarial_weight": -1.0}, "adversarial_weight must be at least 0, got -1.0"),
        ({"mse_weight": -1.0}, "mse_weight must be at least 0, got -1.0"),
        (
            {"adversarial_weight": 0.0, "mse_weight": 0.0, "ssim_weight": 0.0},
            "the generator would learn nothing",
        ),
    ],
)
def test_bad_values_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        gan(**changes)
