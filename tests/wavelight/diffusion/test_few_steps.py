import pytest
import torch

from wavelight.diffusion import FewStepDiffusion

# As the code of WaveDiff computes them: docs/published.md, «WaveDiff and DDGAN: diffusion».
BETA = {
    2: [0.921324015, 0.999451041],
    4: [0.478255302, 0.84920603, 0.95641768, 0.987403929],
}
ALPHA_BAR = {
    2: [1, 0.280492395, 0.0065719001],
    4: [1, 0.722319007, 0.280492365, 0.0585566498, 0.00657194294],
}
SIGMA_BAR = {
    2: [0, 0.959856272, 0.999978364],
    4: [0, 0.69156003, 0.959856272, 0.998284101, 0.999978364],
}
POSTERIOR = {
    2: ([1, 0.280350536], [0, 0.0215874333], [0, 0.920858085]),
    4: (
        [1.00000012, 0.665778458, 0.269190848, 0.0578215607],
        [0, 0.201576263, 0.193000868, 0.111852229],
        [0, 0.440819144, 0.884202421, 0.984060764],
    ),
}


@pytest.mark.parametrize("steps", [2, 4])
def test_tables_are_the_published_ones(steps):
    diffusion = FewStepDiffusion(steps)
    expected = {
        "beta": BETA[steps],
        "alpha_bar": ALPHA_BAR[steps],
        "sigma_bar": SIGMA_BAR[steps],
        "posterior_x0": POSTERIOR[steps][0],
        "posterior_xt": POSTERIOR[steps][1],
        "posterior_variance": POSTERIOR[steps][2],
    }
    for name, table in expected.items():
        torch.testing.assert_close(
            getattr(diffusion, name), torch.tensor(table), atol=1e-6, rtol=0, msg=name
        )


def test_first_posterior_returns_the_clean_image():
    diffusion = FewStepDiffusion(4)
    x0, noisy, noise = torch.randn(3, 5, 2, 4, 4)
    t = torch.zeros(5, dtype=torch.long)
    torch.testing.assert_close(diffusion.posterior(x0, noisy, t, noise), x0)
    assert torch.equal(diffusion.perturb(x0, t, noise), x0)


def test_steps_compose_to_the_marginal():
    """Moments of x_{t+1} by perturbing and stepping are those of perturbing to t + 1 at once."""
    diffusion = FewStepDiffusion(4)
    for t in range(4):
        a, s = diffusion.alpha_bar, diffusion.sigma_bar
        keep = (1 - diffusion.beta[t]).sqrt()
        torch.testing.assert_close(keep * a[t], a[t + 1])
        variance = keep**2 * s[t] ** 2 + diffusion.beta[t]
        torch.testing.assert_close(variance, s[t + 1] ** 2, atol=1e-6, rtol=0)


@pytest.mark.parametrize("t", [1, 2, 3])
def test_posterior_is_bayes_rule(t):
    """The posterior of two Gaussians, with x_t = a x0 + s e and x_{t+1} = k x_t + b e', by precision."""
    diffusion = FewStepDiffusion(4)
    a, s2 = diffusion.alpha_bar[t].double(), diffusion.sigma_bar[t].double() ** 2
    b2 = diffusion.beta[t].double()
    k = (1 - b2).sqrt()
    variance = 1 / (1 / s2 + k**2 / b2)
    weights = variance * a / s2, variance * k / b2
    found = [
        getattr(diffusion, f"posterior_{name}")[t].double() for name in ("x0", "xt", "variance")
    ]
    torch.testing.assert_close(
        torch.stack(found), torch.stack([*weights, variance]), atol=1e-5, rtol=0
    )


def test_tables_are_not_in_the_state_dict():
    assert not FewStepDiffusion(4).state_dict()


@pytest.mark.parametrize(("steps", "low", "high"), [(0, 0.1, 20), (4, 0, 20), (4, 3, 2)])
def test_bad_schedules_are_refused(steps, low, high):
    with pytest.raises(ValueError, match=r"steps must be|beta_min and beta_max must be"):
        FewStepDiffusion(steps, low, high)
