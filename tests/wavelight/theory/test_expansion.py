"""The first-order errors of WSGM's Theorem 1 against the recursion itself."""

from functools import partial

import numpy as np
import pytest

from wavelight.theory import (
    euler_maruyama,
    mean_step_error,
    uniform_times,
    variance_horizon_error,
    variance_step_error,
)

VARIANCES = np.array([0.1, 0.3, 0.9, 1.0, 1.1, 3.0, 10.0, 30.0])


def errors_per_step(steps, horizon):
    """The errors of variance and relative mean, divided by the length of a step, ``(2, L)``."""
    chain = euler_maruyama(VARIANCES, uniform_times(steps, horizon))
    return np.array([chain.variances - VARIANCES, chain.gains - 1]) * steps / horizon


def extrapolated(error, steps):
    """The limit of many steps, from three numbers of them, without the orders 1/N and 1/N^2."""
    once, twice, four_times = (error(steps * factor) for factor in (1, 2, 4))
    return (once - 6 * twice + 8 * four_times) / 3


def test_errors_of_a_step_are_those_of_the_recursion():
    variance, mean = extrapolated(partial(errors_per_step, horizon=10.0), 1500)
    np.testing.assert_allclose(variance, variance_step_error(VARIANCES), rtol=1e-3)
    np.testing.assert_allclose(mean, mean_step_error(VARIANCES), rtol=1e-3)


def test_errors_of_a_step_are_the_published_ones():
    error = variance_step_error(np.array([0.1, 1.0, 3.0, 10.0, 30.0]))
    np.testing.assert_allclose(error, [0.98721, 0.5, -1.472, -11.79, -51.8], rtol=5e-4)


def test_errors_of_the_horizon_are_those_of_the_recursion():
    # Large eigenvalues, whose errors are not lost beside what is left of the error of steps.
    variances, horizon = np.array([3.0, 10.0, 30.0]), 3.0

    def error(steps):
        chain = euler_maruyama(variances, uniform_times(steps, horizon))
        return np.array([chain.variances - variances, chain.gains - 1])

    variance, mean = extrapolated(error, 1000)
    # All orders in e^-2T are the first one with l_T in the denominator.
    end = 1 + np.exp(-2 * horizon) * (variances - 1)
    expected = np.exp(-4 * horizon) * variance_horizon_error(variances) / end**2
    np.testing.assert_allclose(variance, expected, rtol=1e-3)
    np.testing.assert_allclose(mean, -np.exp(-2 * horizon) * variances / end, rtol=1e-3)


def test_one_step_is_its_formula():
    chain = euler_maruyama(np.ones(1), np.array([3.0, 0.0]))
    assert chain.variances == pytest.approx((1 - 3) ** 2 + 2 * 3)
    assert chain.gains == pytest.approx(2 * 3 * np.exp(-3))
