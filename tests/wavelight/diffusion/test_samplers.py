"""Samplers on a Gaussian, where each is an affine map that can be worked out by hand."""

import math

import pytest
import torch

from wavelight.diffusion import (
    Cosine,
    HeunWithChurn,
    Karras,
    LinearVariancePreserving,
    OrnsteinUhlenbeck,
    Quadratic,
    RectifiedFlow,
    Uniform,
    VarianceExploding,
    ancestral,
    clipped,
    ddim,
    dpmpp_2m,
    euler_maruyama,
    heun,
    posterior,
)
from wavelight.noise import Noise

MEAN, STD = 0.7, 0.6
OU = OrnsteinUhlenbeck(3.0)
FLOW = RectifiedFlow()

churned = HeunWithChurn(4.0, smallest=0.2, largest=5.0)
DETERMINISTIC = [ddim, heun, dpmpp_2m]
STOCHASTIC = [euler_maruyama, ancestral, churned]
SAMPLERS = [*DETERMINISTIC, *STOCHASTIC]


def name(case):
    return getattr(case, "__name__", type(case).__name__)


samplers = pytest.mark.parametrize("sampler", SAMPLERS, ids=name)


def gaussian(process, mean=MEAN, std=STD):
    """Return the exact denoiser of N(mean, std^2) data, E[x_0 | x_t]."""

    def denoise(xt, t):
        alpha = process.alpha(t)[:, None, None, None]
        sigma = process.sigma(t)[:, None, None, None]
        gain = alpha * std**2 / (alpha**2 * std**2 + sigma**2)
        return mean + gain * (xt - alpha * mean)

    return denoise


def no_noise():
    raise AssertionError("a deterministic sampler samples no noise")


def affine(sampler, process, times):
    """Read off what a sampler does to x: x -> offset + gain x + noise of a variance.

    Image 0 starts at 0 and image 1 at 1, and they get no noise; image 2 + k starts at 0 and its only noise is a 1 in
    sample k.
    """
    rows = len(times) + 2
    draw = iter(range(2, rows))
    x = torch.zeros(rows, 1, 1, 1, dtype=torch.float64)
    x[1] = 1

    def noise():
        impulse = torch.zeros_like(x)
        impulse[next(draw)] = 1
        return impulse

    x0 = sampler(gaussian(process), process, times, x, noise).flatten()
    return torch.stack([x0[0], x0[1] - x0[0], ((x0[2:] - x0[0]) ** 2).sum()])


def compose(steps):
    """Compose affine steps (offset, gain, variance) by hand."""
    offset, gain, variance = 0.0, 1.0, 0.0
    for step_offset, step_gain, step_variance in steps:
        offset = step_offset + step_gain * offset
        gain = step_gain * gain
        variance = step_gain**2 * variance + step_variance
    return torch.tensor([offset, gain, variance], dtype=torch.float64)


# The Ornstein-Uhlenbeck process and its Gaussian once more, by hand.


def alpha_of(t):
    return math.exp(-t)


def sigma_of(t):
    return math.sqrt(1 - math.exp(-2 * t))


def variance_of(t):
    return alpha_of(t) ** 2 * STD**2 + sigma_of(t) ** 2


def denoiser_at(t):
    """Return offset and gain of the denoiser."""
    gain = alpha_of(t) * STD**2 / variance_of(t)
    return MEAN - gain * alpha_of(t) * MEAN, gain


def pairs(schedule, steps):
    times = schedule(OU, steps)
    return times, list(zip(times[:-1].tolist(), times[1:].tolist(), strict=True))


schedules = pytest.mark.parametrize("schedule", [Uniform(), Quadratic(), Cosine()], ids=name)


@schedules
def test_euler_maruyama_is_wsgm_s_recursion(schedule):
    """S_{k+1} = M S_k M + 2 delta I with M = (1 + delta) I - 2 delta / S_t (Guth et al., 2022)."""
    times, each = pairs(schedule, 9)
    steps = []
    for t, after in each:
        delta = t - after
        pull = 2 * delta / variance_of(t)
        steps.append((pull * alpha_of(t) * MEAN, 1 + delta - pull, 2 * delta))
    torch.testing.assert_close(affine(euler_maruyama, OU, times), compose(steps))


@schedules
def test_ancestral_is_ddpm(schedule):
    """Ho et al., 2020, equations 7 and 11, with the variance beta."""
    times, each = pairs(schedule, 9)
    steps = []
    for t, after in each:
        beta = 1 - math.exp(-2 * (t - after))
        bar, bar_after = math.exp(-2 * t), math.exp(-2 * after)
        of_x0 = math.sqrt(bar_after) * beta / (1 - bar)
        of_xt = math.sqrt(1 - beta) * (1 - bar_after) / (1 - bar)
        offset, gain = denoiser_at(t)
        steps.append((of_x0 * offset, of_x0 * gain + of_xt, beta if after else 0.0))
    torch.testing.assert_close(affine(ancestral, OU, times), compose(steps))


@schedules
def test_ddim_keeps_the_predicted_noise(schedule):
    times, each = pairs(schedule, 9)
    steps = []
    for t, after in each:
        offset, gain = denoiser_at(t)
        eps = -alpha_of(t) * offset / sigma_of(t), (1 - alpha_of(t) * gain) / sigma_of(t)
        step = [
            alpha_of(after) * x0 + sigma_of(after) * e
            for x0, e in zip((offset, gain), eps, strict=True)
        ]
        steps.append((*step, 0.0))
    torch.testing.assert_close(affine(ddim, OU, times), compose(steps))


def edm_step(here, there):
    """A step of EDM's algorithm 1 by hand, as an affine map of x_t / alpha, between two noise levels."""

    def slope(level):
        """(x - D(x)) / level, with D(x) of N(MEAN, STD^2) seen through noise of that level."""
        rate = level / (STD**2 + level**2)
        return -rate * MEAN, rate

    length = there - here
    offset, gain = slope(here)
    euler = length * offset, 1 + length * gain
    if there == 0:
        return euler
    after_offset, after_gain = slope(there)
    # The second slope is taken where Euler's step ends.
    second = after_offset + after_gain * euler[0], after_gain * euler[1]
    return length * (offset + second[0]) / 2, 1 + length * (gain + second[1]) / 2


def level_of(t):
    return math.sqrt(math.exp(2 * t) - 1)


@schedules
def test_heun_is_edm_s_algorithm_1(schedule):
    times, each = pairs(schedule, 9)
    steps = [(0.0, math.exp(times[0]), 0.0)]
    steps += [(*edm_step(level_of(t), level_of(after)), 0.0) for t, after in each]
    torch.testing.assert_close(affine(heun, OU, times), compose(steps))


@pytest.mark.parametrize("churn", [1.0, 2.0, 100.0])
def test_churn_is_edm_s_algorithm_2(churn):
    times, each = pairs(Quadratic(), 9)
    steps = [(0.0, math.exp(times[0]), 0.0)]
    most = min(churn / 9, math.sqrt(2) - 1)
    raised_steps = 0
    for t, after in each:
        level = level_of(t)
        gamma = most if 0.2 <= level <= 5 else 0
        raised_steps += gamma > 0
        raised = level + gamma * level
        steps.append((0.0, 1.0, 1.01**2 * (raised**2 - level**2)))
        steps.append((*edm_step(raised, level_of(after)), 0.0))
    assert 2 < raised_steps < 9
    sampler = HeunWithChurn(churn, 0.2, 5.0, 1.01)
    torch.testing.assert_close(affine(sampler, OU, times), compose(steps))


def test_no_churn_is_heun():
    times = Quadratic()(OU, 9)
    for sampler in [HeunWithChurn(0), HeunWithChurn(40, 100, 200)]:
        torch.testing.assert_close(affine(sampler, OU, times), affine(heun, OU, times))


def test_dpm_solver_2m_is_the_paper_s_algorithm_2():
    """In the paper's words: lambda, h, r, and the last step of the first order."""
    times, each = pairs(Quadratic(), 9)
    lambdas = [math.log(alpha_of(t) / sigma_of(t)) for t in times[:-1].tolist()] + [math.inf]
    starts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    x, before = starts, None
    for k, (t, after) in enumerate(each):
        offset, gain = denoiser_at(t)
        x0 = offset + gain * x
        h = lambdas[k + 1] - lambdas[k]
        used = x0
        if 0 < k < 8:
            r = (lambdas[k] - lambdas[k - 1]) / h
            used = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * before
        x = sigma_of(after) / sigma_of(t) * x - alpha_of(after) * (math.exp(-h) - 1) * used
        before = x0
    found = affine(dpmpp_2m, OU, times)
    torch.testing.assert_close(found, torch.stack([x[0], x[1] - x[0], 0 * x[0]]))


@samplers
@pytest.mark.parametrize(
    "process",
    [OrnsteinUhlenbeck(5.0), LinearVariancePreserving(), VarianceExploding(), RectifiedFlow()],
    ids=name,
)
def test_exact_denoiser_of_a_gaussian_gives_that_gaussian(sampler, process):
    errors = []
    for steps in (200, 800):
        times = Karras(smallest=4 / steps)(process, steps)
        offset, gain, variance = affine(sampler, process, times)
        # The start is a sample of the process, at its first time.
        alpha, sigma = process.alpha(times[0]), process.sigma(times[0])
        mean = offset + gain * alpha * MEAN
        std = (gain**2 * (alpha**2 * STD**2 + sigma**2) + variance).sqrt()
        errors.append(max(abs(mean - MEAN), abs(std - STD)).item())
    assert errors[0] < 0.02
    # First order would be 4; of a small error, whose terms nearly cancel, less.
    assert errors[1] < errors[0] / 2.5


def errors_of_a_flow(sampler, counts):
    """Errors of the standard deviation, generated from noise alone in equal steps of time."""
    return [abs(affine(sampler, FLOW, Uniform()(FLOW, n))[1].item() - STD) for n in counts]


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [(ddim, 1), (dpmpp_2m, 2), (heun, 2), (HeunWithChurn(0), 2)],
    ids=name,
)
def test_a_flow_is_followed_from_noise_alone(sampler, expected):
    few, many = errors_of_a_flow(sampler, [32, 128])
    assert few < 0.03
    assert math.log(few / many, 4) == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize("sampler", [ancestral, churned], ids=name)
def test_stochastic_samplers_start_from_noise_alone(sampler):
    offset, gain, variance = affine(sampler, FLOW, Uniform()(FLOW, 400))
    assert offset.item() == pytest.approx(MEAN, abs=0.01)
    assert math.sqrt(gain**2 + variance) == pytest.approx(STD, abs=0.01)


def test_ddim_of_a_flow_is_euler_s_method():
    """x + (s - t) v with v = (x - x_0) / t, the network's velocity."""
    times, steps = Uniform()(FLOW, 5), []
    for t, after in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        gain = (1 - t) * STD**2 / ((1 - t) ** 2 * STD**2 + t**2)
        offset = MEAN - gain * (1 - t) * MEAN
        steps.append((-(after - t) * offset / t, 1 + (after - t) * (1 - gain) / t, 0.0))
    torch.testing.assert_close(affine(ddim, FLOW, times), compose(steps))


@pytest.mark.parametrize("steps", [1, 2])
def test_heun_from_noise_alone_is_heun_s_method_on_the_straight_path(steps):
    """By hand for 1 and 2 steps: Euler's method at last, and a first step from 1 to 1/2."""
    times = Uniform()(FLOW, steps)
    assert times[0] == 1
    expected = (MEAN, 0.0, 0.0)
    if steps == 2:
        # Velocities at 1: x - MEAN; at 1/2, where the denoiser's gain is g: 2 (1 - g) x + (g - 2) MEAN.
        g = 2 * STD**2 / (STD**2 + 1)
        there = MEAN / 2, 0.5
        velocity = 2 * (1 - g) * there[0] + (g - 2) * MEAN, 2 * (1 - g) * there[1]
        first = -(-MEAN + velocity[0]) / 4, 1 - (1 + velocity[1]) / 4, 0.0
        # The last step, Euler's, ends at the denoised image.
        expected = compose([first, (MEAN - g * MEAN / 2, g, 0.0)])
    torch.testing.assert_close(
        affine(heun, FLOW, times), torch.as_tensor(expected, dtype=torch.float64)
    )
    seen = []

    def denoise(xt, t):
        seen.append(t)
        return gaussian(FLOW)(xt, t)

    heun(denoise, FLOW, times, torch.zeros(1, 1, 1, 1), no_noise)
    assert len(seen) == 2 * steps - 1


def test_euler_maruyama_cannot_start_from_noise_alone():
    x = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="the sampler cannot start where alpha = 0"):
        euler_maruyama(gaussian(FLOW), FLOW, Uniform()(FLOW, 4), x, lambda: x)


@pytest.mark.parametrize("process", [OU, FLOW], ids=name)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_posterior_of_sampled_targets_is_exact_in_any_number_of_steps(process, steps):
    """Where x_0 is not the mean given x_t but a sample of its law, long steps lose nothing."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 1, 2, 2, generator=random)
    mean = gaussian(process)

    def sampled(xt, t):
        alpha, sigma = (f(t)[:, None, None, None] for f in (process.alpha, process.sigma))
        spread = sigma * STD / (alpha**2 * STD**2 + sigma**2).sqrt()
        return mean(xt, t) + spread * torch.randn(x.shape, generator=random)

    times = Uniform()(process, steps)
    # The law of x at the first time, where something may be left of the image.
    alpha, sigma = float(process.alpha(times[0])), float(process.sigma(times[0]))
    start = alpha * MEAN + (alpha**2 * STD**2 + sigma**2) ** 0.5 * x
    found = posterior(
        sampled, process, times, start, lambda: torch.randn(x.shape, generator=random)
    )
    assert found.mean().item() == pytest.approx(MEAN, abs=0.01)
    assert found.std().item() == pytest.approx(STD, abs=0.01)


@pytest.mark.parametrize(("sampler", "order"), [(ddim, 1), (heun, 2), (dpmpp_2m, 2)], ids=name)
def test_order_of_convergence(sampler, order):
    """The error against the exact flow falls as steps^-order."""
    top, bottom = 5.0, 0.0 if sampler is heun else 0.3
    counts = [16, 32, 64, 128]
    errors = []
    for steps in counts:
        levels = torch.linspace(top, bottom, steps + 1, dtype=torch.float64)
        times = OU.time_of(levels)
        _, gain, _ = affine(sampler, OU, times)
        exact = math.sqrt((STD**2 + bottom**2) / (STD**2 + top**2))
        # Of x_t / alpha, at both ends.
        errors.append(abs(gain / OU.alpha(times[-1]) * OU.alpha(times[0]) - exact).item())
    logs = torch.tensor([counts, errors], dtype=torch.float64).log()
    centred = logs - logs.mean(1, keepdim=True)
    slope = (centred[0] * centred[1]).sum() / (centred[0] ** 2).sum()
    assert slope.item() == pytest.approx(-order, abs=0.2)


@pytest.mark.parametrize("steps", [1, 2, 7])
@samplers
def test_evaluations(sampler, steps):
    seen = []

    def denoise(xt, t):
        seen.append(t)
        return gaussian(OU)(xt, t)

    x = torch.randn(3, 2, 4, 4)
    times = Uniform()(OU, steps)
    x0 = sampler(denoise, OU, times, x, lambda: torch.zeros_like(x))
    assert x0.shape == x.shape
    assert len(seen) == (2 * steps - 1 if sampler in (heun, churned) else steps)
    for t in seen:
        assert t.shape == (3,)
        assert t.dtype == x.dtype
        assert (t == t[0]).all()
    if sampler is not churned:
        visited = torch.stack(seen)[:, 0].unique().flip(0)
        torch.testing.assert_close(visited, times[:-1].float())


@pytest.mark.parametrize("steps", [1, 5])
def test_draws_of_noise(steps):
    x = torch.randn(2, 1, 4, 4)
    generated = []

    def noise():
        generated.append(1)
        return torch.zeros_like(x)

    expected = {euler_maruyama: steps, ancestral: steps - 1, churned: steps}
    for sampler, count in expected.items():
        generated.clear()
        sampler(gaussian(OU), OU, Uniform()(OU, steps), x, noise)
        assert len(generated) == count
    for sampler in DETERMINISTIC:
        sampler(gaussian(OU), OU, Uniform()(OU, steps), x, no_noise)


def sample(sampler, noise, process=OU, steps=6, dtype=torch.float32):
    shape = 2, 4, 4
    x = noise.normal(*shape).to(dtype)
    return sampler(
        gaussian(process),
        process,
        Quadratic()(process, steps),
        x,
        lambda: noise.normal(*shape).to(dtype),
    )


@samplers
def test_same_noise_gives_the_same_images_in_any_batch(sampler):
    images = sample(sampler, Noise(7, torch.arange(4)))
    assert torch.equal(images, sample(sampler, Noise(7, torch.arange(4))))
    torch.testing.assert_close(images[2:], sample(sampler, Noise(7, torch.arange(2, 4))))
    assert not torch.allclose(images, sample(sampler, Noise(8, torch.arange(4))), atol=0.1)


@samplers
def test_precision_is_the_start_s(sampler):
    images = [
        sample(sampler, Noise(7, torch.arange(4)), steps=50, dtype=dtype)
        for dtype in (torch.float32, torch.float64)
    ]
    assert [image.dtype for image in images] == [torch.float32, torch.float64]
    torch.testing.assert_close(images[0].double(), images[1], atol=1e-4, rtol=0)


@samplers
def test_no_step_waits_for_the_device(sampler):
    """A tensor on the meta device has no numbers, so a step that read one would fail."""
    x = torch.empty(3, 2, 4, 4, device="meta")
    times = Uniform()(OU, 5)
    assert sampler(gaussian(OU), OU, times, x, lambda: x).device == x.device
    # These read the first or the last time, once, before the first step.
    if sampler not in (euler_maruyama, heun, churned):
        assert sampler(gaussian(OU), OU, times.to(x.device), x, lambda: x).device == x.device


@samplers
def test_times_in_float32_will_do(sampler):
    x = torch.randn(3, 1, 2, 2)
    times = Uniform()(OU, 8)
    images = [sampler(gaussian(OU), OU, t, x, lambda: 0 * x) for t in (times, times.float())]
    torch.testing.assert_close(*images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sampler", [heun, churned], ids=name)
def test_heun_needs_a_clean_end(sampler):
    process = VarianceExploding(0.01, 50)
    x = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match=r"heun must end at noise level 0, got 0\.01"):
        sampler(gaussian(process), process, Uniform()(process, 4), x, no_noise)


@pytest.mark.parametrize("sampler", [euler_maruyama, ancestral, ddim, dpmpp_2m], ids=name)
def test_others_may_stop_at_some_noise(sampler):
    process = VarianceExploding(0.3, 50)
    times = Karras(smallest=0.31, largest=50)(process, 2000)
    _, gain, variance = affine(sampler, process, times)
    found = gain**2 * (STD**2 + 50**2) + variance
    assert found == pytest.approx(STD**2 + 0.3**2, rel=0.02)


def test_clipped_images_stay_in_range():
    xt, t = torch.linspace(-9, 9, 24).reshape(2, 3, 2, 2), torch.full((2,), 0.1)
    denoise = gaussian(OU)
    expected = denoise(xt, t).clamp(-1, 1)
    assert expected.abs().max() == 1
    assert torch.equal(clipped(denoise)(xt, t), expected)
    x0 = ancestral(clipped(denoise), OU, Uniform()(OU, 3), 9 * xt, lambda: 9 * xt)
    assert x0.abs().max() <= 1


@pytest.mark.parametrize("values", [(-1,), (1, -1), (1, 2, 1), (1, 0, 1, 0)])
def test_bad_churn_is_refused(values):
    with pytest.raises(ValueError, match="noise_scale must be churn >= 0"):
        HeunWithChurn(*values)
