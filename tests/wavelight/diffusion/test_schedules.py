import math

import pytest
import torch

from wavelight.diffusion import (
    Cosine,
    Karras,
    LinearVariancePreserving,
    OrnsteinUhlenbeck,
    Quadratic,
    RectifiedFlow,
    Uniform,
    VarianceExploding,
)

PROCESSES = [
    OrnsteinUhlenbeck(5.0),
    LinearVariancePreserving(),
    VarianceExploding(),
    VarianceExploding(0.001, 90),
    RectifiedFlow(),
]
SCHEDULES = [Uniform(), Quadratic(), Cosine(), Karras(), Karras(0.02, 50, 3)]


@pytest.mark.parametrize("steps", [1, 2, 18, 1000])
@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: type(process).__name__)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_times_fall_from_the_process_s_end_to_its_start(schedule, process, steps):
    times = schedule(process, steps)
    assert times.shape == (steps + 1,)
    assert times.dtype == torch.float64
    assert (times.diff() < 0).all()
    assert times[-1] == process.start
    if isinstance(schedule, Karras):
        assert process.sigma_over_alpha(times[0]).item() == pytest.approx(schedule.largest)
    else:
        assert times[0] == process.end


@pytest.mark.parametrize(
    ("steps", "uniform", "quadratic"),
    [
        (4, 3.34, 0.93),
        (16, 0.93, 0.20),
        (64, 0.41, 0.049),
        (256, 0.20, 0.0124),
        (1024, 0.099, 0.0031),
    ],
)
def test_smallest_noise_levels_of_wsgm(steps, uniform, quadratic):
    """Why the uniform steps of Guth et al. (2022) are bad for images."""
    process = OrnsteinUhlenbeck(5.0)
    for schedule, expected in [(Uniform(), uniform), (Quadratic(), quadratic)]:
        found = process.sigma_over_alpha(schedule(process, steps)[-2]).item()
        assert found == pytest.approx(expected, rel=0.03)


def test_quadratic_steps_are_in_proportion_to_their_number():
    steps = -Quadratic()(OrnsteinUhlenbeck(5.0), 10).diff().flip(0)
    torch.testing.assert_close(steps / steps[0], 2 * torch.arange(10.0).double() + 1)


def test_karras_levels_are_edm_s():
    """EDM, equation 5, with its defaults and 18 steps."""
    times = Karras()(VarianceExploding(), 18)
    ends = 80 ** (1 / 7), 0.002 ** (1 / 7)
    expected = [(ends[0] + i / 17 * (ends[1] - ends[0])) ** 7 for i in range(18)]
    torch.testing.assert_close(times, torch.tensor([*expected, 0]).double(), atol=0, rtol=1e-6)
    assert times[1].item() == pytest.approx(57.586, abs=1e-3)
    for process in PROCESSES[:2]:
        torch.testing.assert_close(process.sigma_over_alpha(Karras()(process, 18)), times)


def test_cosine_levels_are_those_of_improved_ddpm():
    """Of a process that goes to pure noise, they are the paper's alpha_bar (equation 17)."""
    process = VarianceExploding(0, 1e9)
    ratio = process.sigma_over_alpha(Cosine()(process, 16)).flip(0)

    def f(u):
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = torch.tensor([f(k / 16) / f(0) for k in range(17)]).double()
    torch.testing.assert_close(1 / (1 + ratio**2), expected, atol=1e-7, rtol=1e-6)


def test_cosine_steps_without_offset_are_equal_angles():
    process = OrnsteinUhlenbeck(2.0)
    angles = process.sigma_over_alpha(Cosine(0)(process, 12)).arctan()
    torch.testing.assert_close(angles.diff(), angles.diff()[:1].expand(12))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_no_steps_are_refused(schedule):
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        schedule(VarianceExploding(), 0)


def test_levels_that_the_process_lacks_are_refused():
    with pytest.raises(
        ValueError,
        match=r"smallest and largest of Karras must lie within the process's noise levels, 0 to 50, got 0\.002 and 80",
    ):
        Karras()(VarianceExploding(0, 50), 8)
    with pytest.raises(
        ValueError,
        match=r"noise levels, 0\.01 to 90, got 0\.002 and 80",
    ):
        Karras()(VarianceExploding(0.01, 90), 8)


@pytest.mark.parametrize("values", [(0, 80, 7), (80, 80, 7), (0.002, 80, 0)])
def test_bad_karras_values_are_refused(values):
    with pytest.raises(ValueError, match="0 < smallest < largest and rho > 0"):
        Karras(*values)


def test_negative_offset_is_refused():
    with pytest.raises(ValueError, match="offset must not be negative, got -1"):
        Cosine(-1)
