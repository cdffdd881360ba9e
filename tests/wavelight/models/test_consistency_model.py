"""The right consistency function has no loss or no slope, and samples the law in one step or several."""

import math

import pytest
import torch
from torch import nn

from tests.systems import consistency_model, tiny_wsgm
from tests.wavelight.models.details import factor
from wavelight.diffusion.noise_level_sampling import LogNormalSigma
from wavelight.diffusion.parameterizations import Preconditioned
from wavelight.diffusion.processes import RectifiedFlow, VarianceExploding
from wavelight.diffusion.schedules import Karras, Uniform
from wavelight.factorizations.base import Factor
from wavelight.factors import UNCONDITIONAL, FactorShape
from wavelight.models import ConsistencyModel
from wavelight.noise import Noise
from wavelight.weights import load_weights

LL = FactorShape.square(2, 4)
PROCESSES = [VarianceExploding(largest=80.0), RectifiedFlow()]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda each: type(each).__name__)


class Exact(nn.Module):
    """The network whose consistency function is that of N(mean, deviation^2), but for an error of an exponent.

    With y = x_t / alpha and the noise level r, y - mean is in proportion to s(r) on a path, s(r)^2 = deviation^2 + r^2.
    """

    def __init__(self, mean=0.0, deviation=0.0, sigma_data=1.0):
        super().__init__()
        self.mean, self.deviation, self.sigma_data = mean, deviation, sigma_data
        self.error = nn.Parameter(torch.zeros(()))

    def forward(self, x, c_noise, condition):
        level = (4 * c_noise).exp().reshape(-1, 1, 1, 1)
        t = VarianceExploding()
        numbers = Preconditioned(self.sigma_data).preconditioning(t, level)
        y = x / numbers.c_in
        share = self.deviation / (self.deviation**2 + level**2).sqrt()
        end = self.mean + share ** (1 + self.error) * (y - self.mean)
        return (end - numbers.c_skip * y) / numbers.c_out


def model(network, steps=1, process=PROCESSES[0], **changes):
    options = {"stage_batches": 10, "schedule": Karras(0.8, 80.0)}
    return ConsistencyModel(
        LL,
        lambda _: network,
        lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
        process,
        LogNormalSigma(0.0, 1.0),
        steps=steps,
        **(options | changes),
    )


def noise(n):
    return Noise(0, torch.arange(n))


@each_process
@pytest.mark.parametrize("turn", [0, 1000])
def test_the_exact_function_of_a_point_has_no_loss(process, turn):
    target = Factor(torch.full((64, 2, 4, 4), 0.7))
    (loss,) = model(Exact(0.7), process=process).losses("score", target, turn, noise(64)).values()
    assert loss.item() == pytest.approx(0, abs=2e-3)
    wrong = model(Exact(0.7, 0.5), process=process).losses("score", target, turn, noise(64))
    assert wrong["consistency"] > 0.1


def test_late_stages_have_no_slope_at_the_exact_function_of_a_gaussian():
    """The end of a path is only right on average over targets: for near pairs, whose loss is squared here."""
    network, images = Exact(deviation=0.5), 20000
    late = model(network, huber=1.0, stages=6)

    def slope(error):
        network.error.data.fill_(error)
        target = 0.5 * torch.randn(images, 2, 4, 4, generator=torch.Generator().manual_seed(3))
        (loss,) = late.losses("score", Factor(target), 1000, noise(images)).values()
        return torch.autograd.grad(loss, network.error)[0].item()

    assert abs(slope(0.0)) < 0.1 * abs(slope(0.3))


@each_process
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_exact_function_samples_a_gaussian_in_any_number_of_steps(process, steps):
    exact = model(Exact(0.3, 0.5), steps, process)
    with torch.no_grad():
        found = exact.sample((2, 4, 4), UNCONDITIONAL, noise(4000))
    assert found.mean().item() == pytest.approx(0.3, abs=0.01)
    assert found.std().item() == pytest.approx(0.5, rel=0.01)


def test_pairs_come_nearer_from_stage_to_stage():
    found = model(Exact(), stage_batches=10, stages=3)
    far = torch.tensor([1e4])
    # n is 1 far out: what is left is 1 - 2^-(1 + stage).
    kept = [found.kept(far, turn).item() for turn in (0, 9, 10, 20, 30, 1000)]
    assert kept == [0.5, 0.5, 0.75, 0.875, 0.875, 0.875]
    near = found.kept(torch.tensor([1e-4, 0.5]), 0)
    # n is 5 at no noise, and 1 + 8 / (1 + sqrt(e)) = 4.02 at 0.5: the target itself is what is to be found.
    assert near.tolist() == [0, 0]
    middle = found.kept(torch.tensor([0.5]), 20).item()
    assert middle == pytest.approx(1 - (1 + 8 / (1 + math.exp(0.5))) / 8)


def test_the_nearest_pairs_that_are_taken_are_told_apart():
    found = model(Exact(), stages=20, stage_batches=1)
    target = Factor(torch.randn(64, 2, 4, 4, generator=torch.Generator().manual_seed(0)))
    (loss,) = found.losses("score", target, 1000, noise(64)).values()
    assert loss.isfinite()
    assert found.kept(torch.tensor([1e4]), 1000) < 1


def test_first_stages_learn_the_target_itself_where_nothing_is_kept():
    network = Exact()
    low = model(network)
    low.noise_level_sampling = LogNormalSigma(-3.0, 0.1)
    target = torch.randn(64, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    (loss,) = low.losses("score", Factor(target), 0, noise(64)).values()
    # f is 0 everywhere, so that the error of each image is its own size, weighed by 1 / c_out.
    level = (-3.0 + 0 * target[:, 0, 0, 0]).exp()
    weight = ((level**2 + 1).sqrt() / level).mean()
    size = target.square().flatten(1).mean(1).sqrt().mean()
    assert loss.item() == pytest.approx((weight * size).item(), rel=0.05)


def test_the_less_noisy_side_is_held_fixed():
    calls = []
    found = model(Exact(0.6))
    found.score.register_forward_hook(lambda *call: calls.append(call[2].requires_grad))
    found.losses("score", Factor(torch.zeros(4, 2, 4, 4)), 0, noise(4))
    assert calls == [False, True]


def test_tuning_starts_from_the_checkpoint_of_a_score_model(tmp_path):
    scores = tiny_wsgm()
    path = tmp_path / "scores.ckpt"
    torch.save({"state_dict": scores.state_dict()}, path)
    tuned = tiny_wsgm(coarse=consistency_model(), seed=4)
    torch.nn.init.ones_(tuned.models[0].score.head.bias)
    assert load_weights(tuned, path) == []
    state = tuned.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in scores.state_dict().items())
    assert list(tuned.models[0].players()) == ["score"]


def test_it_learns_details_given_ll():
    details = factor(2)
    torch.manual_seed(0)
    found = consistency_model(3)(FactorShape.square(9, 8, 3))
    (loss,) = found.losses("score", details, 0, noise(4)).values()
    loss.backward()
    assert found.score.head.weight.grad.abs().sum() > 0
    calls = []
    found.score.register_forward_hook(lambda *_: calls.append(1))
    assert found.sample((9, 8, 8), details.condition, noise(4)).shape == (4, 9, 8, 8)
    assert found.steps == len(calls) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shrink": 1.0}, "shrink must be above 1 and huber above 0, got 1.0 and 0.001"),
        ({"huber": 0.0}, "shrink must be above 1 and huber above 0, got 2.0 and 0.0"),
        ({"stage_batches": 0}, "stage_batches must be at least 1, got 0"),
        ({"stages": 0}, "stages must be at least 1, got 0"),
        (
            {"stages": 21},
            r"shrink \*\* stages must be at most 1048576, .*, got 2 \*\* 21: give fewer",
        ),
        ({"shrink": 4.0, "stages": 11}, r"shrink \*\* stages .*, got 4 \*\* 11: give fewer stages"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        (
            {"process": RectifiedFlow(), "schedule": Uniform()},
            "schedule must start before time 1 of RectifiedFlow, .*: take Karras",
        ),
    ],
)
def test_bad_options_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        model(Exact(), **changes)
