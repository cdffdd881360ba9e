import pytest
import torch

from wavelight.losses import BoundedCriticLoss, NonSaturatingLoss, RpGANLoss

REAL = torch.tensor([[2.0], [-1.0]])[:, :, None, None]
FAKE = torch.tensor([[0.0], [1.0]])[:, :, None, None]


def critic(images):
    """A linear score, whose gradient at any image is 1."""
    return images.flatten(1).sum(1, keepdim=True)


# Logits of the real are 2 and -1, of the generated 0 and 1. Sigmoids: 0.880797, 0.268941; 0.5, 0.731059.
# Softplus: of -2, 1 (real says real) 0.126928, 1.313262; of 0, 1 (fake says fake) 0.693147, 1.313262;
# of 0, -1 (fake says real) 0.693147, 0.313262. Pairs: fake - real is -2, 2.
HALF_PENALTY = 0.5
GAMES = [
    (
        BoundedCriticLoss(),
        -0.615529,
        {"real": -0.574869 / 2, "fake": 0.615529 / 2},
    ),
    (
        NonSaturatingLoss(r1_gamma=1.0, r1_every=2),
        0.503204,
        {"real": 0.720095, "fake": 1.003204, "r1": HALF_PENALTY},
    ),
    (
        RpGANLoss(gamma=1.0),
        1.126928,
        {"pairing": 1.126928, "r1": HALF_PENALTY, "r2": HALF_PENALTY},
    ),
]


@pytest.mark.parametrize(("game", "of_generator", "of_discriminator"), GAMES)
def test_losses_are_those_that_a_hand_calculates(game, of_generator, of_discriminator):
    assert game.generator_loss(critic, FAKE, REAL).item() == pytest.approx(of_generator, abs=2e-6)
    losses = game.discriminator_losses(critic, FAKE, REAL, turn=0)
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(
        of_discriminator, abs=2e-6
    )
    # The images themselves are left as they were.
    assert not REAL.requires_grad
    assert not FAKE.requires_grad


@pytest.mark.parametrize("game", [game for game, *_ in GAMES])
def test_each_player_pulls_the_logits_its_way(game):
    fake, real = FAKE.clone().requires_grad_(), REAL.clone().requires_grad_()
    (upwards,) = torch.autograd.grad(-game.generator_loss(critic, fake, real), fake)
    assert (upwards > 0).all()
    gap = torch.tensor(1.0, requires_grad=True)
    apart = torch.ones(2, 1, 1, 1)
    losses = game.discriminator_losses(lambda images: gap * critic(images), -apart, apart, turn=1)
    without_penalties = sum(loss for name, loss in losses.items() if name not in ("r1", "r2"))
    (upwards,) = torch.autograd.grad(-without_penalties, gap)
    assert upwards > 0


def test_penalties_come_when_they_are_told():
    turns = [
        [game.penalised(turn) for turn in range(4)]
        for game in (BoundedCriticLoss(), NonSaturatingLoss(0.1, 3), RpGANLoss(0.1))
    ]
    assert turns == [[False] * 4, [True, False, False, True], [True] * 4]
    for game in (NonSaturatingLoss(0.0, 1), RpGANLoss(0.0)):
        assert not game.penalised(0)
        assert not {"r1", "r2"} & set(game.discriminator_losses(critic, FAKE, REAL, 0))


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: NonSaturatingLoss(-1.0, 1), r"r1_gamma must not be negative, got -1\.0"),
        (lambda: NonSaturatingLoss(1.0, 0), "r1_every must be at least 1, got 0"),
        (lambda: RpGANLoss(-1.0), r"gamma must not be negative, got -1\.0"),
    ],
)
def test_bad_values_are_refused(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()
