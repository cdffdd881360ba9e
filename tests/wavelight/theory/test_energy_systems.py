"""Fitted energies find the laws of fields that are known: of a Gaussian field, and of phi^4 itself."""

import pytest
import torch

from data_modules import Phi4
from data_modules.phi4 import CRITICAL_BETA
from wavelight.diffusion.processes import OrnsteinUhlenbeck
from wavelight.factorizations.base import Factor
from wavelight.networks.field_energy import FieldEnergy
from wavelight.theory import power_law
from wavelight.theory.energy_systems import EnergyNetwork, energy_sgm, energy_wsgm
from wavelight.theory.exact_systems import exact_wsgm


def fitted_at_time_0(fields, reach):
    network = EnergyNetwork(
        FieldEnergy(fields.shape[-1], reach, 16),
        OrnsteinUhlenbeck(5.0),
        200.0,
        torch.tensor([0.0, 0.1]),
    )
    network.fit(Factor(fields), seed=0)
    return network


def gaussian_fields(count, size, eta=1.0):
    noise = torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(0))
    amplitude = torch.from_numpy(power_law(size, eta)).sqrt().float()
    return torch.fft.ifft2(torch.fft.fft2(noise) * amplitude).real


def test_interactions_of_a_gaussian_field_are_its_inverse_covariance():
    fields = gaussian_fields(4000, 8)
    network = fitted_at_time_0(fields, reach=4)
    parameters = network.energy.parameters_of(network.theta, network.spreads)
    found = (parameters.interactions[0, 0] @ network.energy.symbols.flatten(1)).reshape(8, 8)
    # A spectrum measured on n fields errs by sqrt(2 / n); sigmoids take a little from the pairs, and
    # the potential of the mean much of what frequency 0 has.
    ratio = (found * torch.from_numpy(power_law(8, 1.0))).flatten()[1:]
    torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=0.12, rtol=0)


@pytest.mark.slow
def test_networks_of_gaussian_fields_are_nearly_the_exact_ones():
    fields = gaussian_fields(2000, 16)
    fitted, exact = energy_wsgm(fields, steps=2), exact_wsgm(16, 1.0, steps=2)
    for one, other, factor in zip(
        fitted.models, exact.models, exact.factorization.encode(fields[:200]), strict=True
    ):
        for time in (0.1, 0.5, 2.0):
            noise = torch.randn(factor.target.shape, generator=torch.Generator().manual_seed(1))
            t = torch.full((200,), time)
            x = one.process.perturb(factor.target, t, noise)
            inputs = (x, 200 * t, factor.condition)
            error = one.score(*inputs) - other.score(*inputs)
            assert error.square().mean() < 0.01 * other.score(*inputs).square().mean()


@pytest.mark.slow
def test_energy_of_phi4_is_found(tmp_path):
    source = Phi4(tmp_path, size=8, images=8000)
    source.fetch()
    fields = torch.stack([source.read(number, 8).image for number in range(8000)])
    network = fitted_at_time_0(fields, reach=1)
    parameters = network.energy.parameters_of(network.theta, network.spreads)
    itself, neighbours, diagonal = parameters.interactions[0, 0].tolist()
    assert neighbours == pytest.approx(-CRITICAL_BETA, abs=0.03)
    assert diagonal == pytest.approx(0, abs=0.03)
    # Fields of one value have the slope of the potential and of their interactions at each site.
    values = torch.linspace(-1.3, 1.3, 27)
    scale = network.energy.width * parameters.spreads[0, 0]
    rise = torch.sigmoid(
        values[:, None] / scale - network.energy.centres / network.energy.width
    ).double()
    slope = (rise * (1 - rise) / scale) @ parameters.potentials[0, 0] + itself * values
    torch.testing.assert_close(slope, (4 * values**3 - 2 * values).double(), atol=0.3, rtol=0)


@pytest.mark.parametrize("build", [energy_sgm, energy_wsgm])
def test_systems_draw_and_do_not_train(build):
    system = build(gaussian_fields(60, 8), steps=3)
    fields = system.sample(3, seed=1)
    assert fields.shape == (3, 1, 8, 8)
    torch.testing.assert_close(system.sample(1, seed=1, start=2), fields[2:], atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="it does not train"):
        system.configure_optimizers()
