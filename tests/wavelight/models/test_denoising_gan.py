from functools import partial

import numpy as np
import pytest
import torch

from tests.golden import NARROW, filled, normal
from wavelight.diffusion import FewStepDiffusion
from wavelight.factorizations.base import Factor
from wavelight.factorizations.subbands import Subbands
from wavelight.factors import UNCONDITIONAL, FactorShape
from wavelight.losses.logistic import fake_logistic_loss, r1_penalty, real_logistic_loss
from wavelight.models import DenoisingGAN
from wavelight.networks import NCSNpp, SmallDiscriminator
from wavelight.networks.published import published_name
from wavelight.noise import Noise


class Recorded:
    """Noise that was written down: times, and tensors in the order in which they are generated."""

    def __init__(self, times, *tensors):
        self.times = times
        self.tensors = list(tensors)

    def integers(self, high):
        assert self.times.max() < high
        return self.times

    def normal(self, *shape):
        generated = self.tensors.pop(0)
        assert generated.shape[1:] == shape
        return generated


# Facts of one iteration of the published code; tests/golden/README.md has the recipe.
D_REAL = [2.936021089553833, 2.959336996078491, 3.1367251873016357, 3.104512929916382]
REAL, R1, FAKE = 0.047161929309368134, 0.00017588747141417116, 2.9900999069213867
ADVERSARIAL, RECONSTRUCTION = 24.710020065307617, 0.44721055030822754
GRADIENT_XT = [0.12225975096225739, 0.13236433267593384, 0.13666853308677673, 0.138596311211586]
AFTER_REAL_AND_R1 = {
    "start_conv.weight": 0.03125208243727684,
    "conv2.conv1.0.weight": 0.7543758153915405,
    "conv2.skip.0.weight": 0.4354249835014343,
    "t_embed.main.0.weight": 0.9184134006500244,
    "end_linear.weight": 2.5656321048736572,
}
DISCRIMINATOR_TOTAL = {
    "start_conv.weight": 0.9983876347541809,
    "conv2.conv1.0.weight": 14.705731391906738,
    "conv2.skip.0.weight": 8.702759742736816,
    "t_embed.main.0.weight": 17.33475112915039,
    "end_linear.weight": 50.96365737915039,
}
GENERATOR = {
    "all_modules.0.weight": 0.7401418089866638,
    "all_modules.2.weight": 0.3582422137260437,
    "all_modules.3.GroupNorm_0.style.weight": 0.07287638634443283,
    "all_modules.28.weight": 7.496345520019531,
    "z_transform.1.weight": 0.1410478949546814,
}
CONV_IN_STEP = [
    -0.0001600012183189392,
    0.00015999376773834229,
    -0.0001600012183189392,
    -0.00015999376773834229,
]


def check_gradients(network, expected):
    norms = {
        published_name(network, name): parameter.grad.norm()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }
    for name, norm in expected.items():
        torch.testing.assert_close(norms[name], torch.tensor(norm), rtol=2e-4, atol=0, msg=name)


@pytest.mark.slow
def test_one_iteration_is_the_published_one():
    model = DenoisingGAN(
        FactorShape.square(12, 16),
        partial(
            NCSNpp,
            width=128,
            multipliers=[1, 2, 2],
            attention_resolutions=[32],
            mapping_layers=4,
        ),
        partial(SmallDiscriminator, width=64, blocks=3),
        None,
        None,
        FewStepDiffusion(4),
        r1_gamma=0.02,
        r1_every=15,
        reconstruction_weight=1,
    )
    generator, discriminator = filled(model.generator), filled(model.discriminator)
    image = np.random.default_rng(21).uniform(-1, 1, [4, 3, 32, 32]).astype(np.float32)
    (factor,) = Subbands().encode(torch.from_numpy(image))
    torch.testing.assert_close(
        factor.target.flatten()[:4],
        torch.tensor(
            [0.3040759563446045, -0.13245180249214172, -0.007865811698138714, -0.27328380942344666]
        ),
    )
    shape = (4, 12, 16, 16)

    def noise():
        return Recorded(
            torch.arange(4),
            normal(23, *shape),
            normal(22, *shape),
            normal(24, 4, 100),
            normal(25, *shape),
        )

    logits = []
    hook = discriminator.score.register_forward_hook(lambda _, __, output: logits.append(output))
    losses = model.losses("discriminator", factor, turn=0, noise=noise())
    hook.remove()
    torch.testing.assert_close(logits[0].flatten(), torch.tensor(D_REAL), atol=1e-5, rtol=0)
    for name, expected in {"real": REAL, "r1": R1, "fake": FAKE}.items():
        torch.testing.assert_close(losses[name], torch.tensor(expected), rtol=2e-5, atol=0)

    (losses["real"] + losses["r1"]).backward()
    check_gradients(discriminator, AFTER_REAL_AND_R1)
    losses["fake"].backward()
    check_gradients(discriminator, DISCRIMINATOR_TOTAL)
    assert all(parameter.grad is None for parameter in generator.parameters())
    torch.optim.Adam(discriminator.parameters(), 1.25e-4, (0.5, 0.9)).step()

    discriminator.requires_grad_(False).zero_grad()
    before = generator.stem.weight.detach().clone()
    losses = model.losses("generator", factor, turn=0, noise=noise())
    torch.testing.assert_close(losses["adversarial"], torch.tensor(ADVERSARIAL), rtol=2e-5, atol=0)
    torch.testing.assert_close(
        losses["reconstruction"], torch.tensor(RECONSTRUCTION), rtol=1e-5, atol=0
    )
    sum(losses.values()).backward()
    check_gradients(generator, GENERATOR)
    torch.optim.Adam(generator.parameters(), 1.6e-4, (0.5, 0.9)).step()
    step = (generator.stem.weight - before).flatten()[:4]
    torch.testing.assert_close(step, torch.tensor(CONV_IN_STEP), atol=2e-8, rtol=0)


def small(**changes):
    torch.manual_seed(0)
    options = {
        "shape": FactorShape.square(12, 8),
        "generator": partial(NCSNpp, **NARROW),
        "discriminator": partial(SmallDiscriminator, width=8, blocks=3),
        "generator_optimizer": partial(torch.optim.Adam, lr=1e-3),
        "discriminator_optimizer": partial(torch.optim.Adam, lr=1e-3),
        "diffusion": FewStepDiffusion(2),
        "r1_gamma": 0.1,
        "r1_every": 3,
        "reconstruction_weight": 1.0,
    }
    model = DenoisingGAN(**(options | changes))
    filled(model.generator)
    filled(model.discriminator)
    return model


FACTOR = Factor(normal(0, 4, 12, 8, 8).clamp(-1, 1))


def noise():
    return Noise(0, torch.arange(4))


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_players_loss_is_its_own(player):
    """Whoever is frozen gets no gradient, and the player whose turn it is gets one everywhere."""
    model = small()
    players = model.players()
    for name, other in players.items():
        other.network.requires_grad_(name == player)
    sum(model.losses(player, FACTOR, 0, noise()).values()).backward()
    for name, other in players.items():
        gradients = [parameter.grad for parameter in other.network.parameters()]
        assert all((gradient is not None) == (name == player) for gradient in gradients)


def test_penalty_is_lazy():
    model = small()
    terms = [set(model.losses("discriminator", FACTOR, turn, noise())) for turn in range(4)]
    assert ["r1" in names for names in terms] == [True, False, False, True]
    assert "r1" not in small(r1_gamma=0.0).losses("discriminator", FACTOR, 0, noise())


def test_without_reconstruction_it_is_ddgan():
    assert set(small(reconstruction_weight=0.0).losses("generator", FACTOR, 0, noise())) == {
        "adversarial"
    }


def test_penalty_is_computed_in_float32_under_autocast():
    exact = small().losses("discriminator", FACTOR, 0, noise())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = small().losses("discriminator", FACTOR, 0, noise())
    assert torch.equal(exact["r1"], mixed["r1"])
    assert not torch.equal(exact["fake"], mixed["fake"])


def test_losses_are_made_of_the_named_functions():
    model = small()
    losses = model.losses("discriminator", FACTOR, 0, noise())
    generated = noise()
    t = generated.integers(2)
    step, start = generated.normal(12, 8, 8), generated.normal(12, 8, 8)
    xt = model.diffusion.perturb(FACTOR.target, t, start).requires_grad_()
    x_next = model.diffusion.step(xt, t, step)
    logits = model.discriminator(xt, t, x_next.detach())
    torch.testing.assert_close(losses["real"], real_logistic_loss(logits))
    torch.testing.assert_close(losses["r1"], r1_penalty(logits, xt, 0.1))
    x0 = model.generator(x_next, t, generated.normal(100))
    fake = model.diffusion.posterior(x0, x_next, t, generated.normal(12, 8, 8))
    torch.testing.assert_close(
        losses["fake"], fake_logistic_loss(model.discriminator(fake, t, x_next))
    )


def test_samples_do_not_depend_on_the_batch():
    model = small().eval()
    with torch.no_grad():
        whole = model.sample((12, 8, 8), UNCONDITIONAL, Noise(3, torch.arange(5)))
        part = model.sample((12, 8, 8), UNCONDITIONAL, Noise(3, torch.tensor([3])))
    torch.testing.assert_close(whole[3:4], part, atol=1e-5, rtol=0)


def test_networks_are_built_for_the_factor():
    model = small(shape=FactorShape.square(3, 16))
    assert (model.generator.channels, model.generator.resolution) == (3, 16)
    assert model.discriminator.channels == 3
    assert model.sample((3, 16, 16), UNCONDITIONAL, noise()).shape == (4, 3, 16, 16)


def test_a_factor_with_a_condition_is_refused():
    """By the model itself, whatever its networks are."""

    def anything(_):
        return torch.nn.Identity()

    with pytest.raises(
        ValueError,
        match=r"^DenoisingGAN is unconditional and cannot model detail bands given LL; use it for LL, "
        r"Pixels or Subbands$",
    ):
        small(shape=FactorShape.square(9, 8, 3), generator=anything, discriminator=anything)


def test_a_tanh_that_cannot_reach_the_targets_is_refused():
    small().check(bounded=True)
    small(generator=partial(NCSNpp, **NARROW, bounded=False)).check(bounded=False)
    with pytest.raises(
        ValueError,
        match=r"^scaling must keep bands in \[-1, 1\] for a generator that ends in tanh, got one that "
        r"does not: take Peak, or give the generator bounded: false$",
    ):
        small().check(bounded=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r1_every": 0}, "at least 1"),
        ({"r1_gamma": -1.0}, "r1_gamma must be at least 0, got -1.0"),
    ],
)
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)
