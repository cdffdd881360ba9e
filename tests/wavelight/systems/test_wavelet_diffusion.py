"""Wavelet diffusion is any model of standardised sub-bands."""

from itertools import islice

import pytest
import torch

from tests.golden import normal
from tests.runs import fit
from tests.systems import mean_flow, tiny_wavelet_diffusion
from tests.wavelight.systems.test_score_systems import data
from wavelight.factorizations import Peak, PerChannel, Subbands
from wavelight.factors import FactorShape


@pytest.mark.parametrize(
    ("changes", "shape"),
    [({}, (12, 8, 8)), ({"channels": 1}, (4, 8, 8)), ({"levels": 2}, (48, 4, 4))],
)
def test_the_network_is_built_for_the_sub_bands(changes, shape):
    shapes = []
    build = mean_flow()
    system = tiny_wavelet_diffusion(
        model=lambda shape: shapes.append(shape) or build(shape), **changes
    )
    assert shapes == [FactorShape(*shape)]
    assert system.sample(1).shape == (1, system.channels, 16, 16)


def test_bands_are_standardised_unless_another_scaling_is_given():
    found = tiny_wavelet_diffusion().factorization
    assert isinstance(found, Subbands)
    assert type(found.coarse.scaling) is PerChannel
    other = tiny_wavelet_diffusion(scaling=Peak()).factorization
    assert type(other.coarse.scaling) is Peak


@pytest.mark.parametrize("options", [{}, {"model": mean_flow()}], ids=["score", "mean_flow"])
def test_it_learns_bands_of_unit_variance(tmp_path, options):
    system = tiny_wavelet_diffusion(**options)
    before = {name: each.clone() for name, each in system.named_parameters()}
    module = data(tmp_path)
    fit(tmp_path, system=system, data=module, max_epochs=1)
    assert any(not torch.equal(before[name], each) for name, each in system.named_parameters())
    # The loader has no end; this is an epoch.
    images = torch.cat([batch["image"] for batch in islice(module.train_dataloader(), 8)])
    bands = system.factorization.encode(images / 127.5 - 1)[0].target
    torch.testing.assert_close(bands.mean((0, 2, 3)), torch.zeros(12), atol=0.1, rtol=0)
    torch.testing.assert_close(bands.std((0, 2, 3)), torch.ones(12), atol=0.1, rtol=0)


def test_decoding_inverts_encoding():
    factorization = tiny_wavelet_diffusion(levels=2).factorization
    image = normal(1, 2, 3, 16, 16)
    (factor,) = factorization.encode(image)
    torch.testing.assert_close(factorization.decode(lambda index, ll: factor.target), image)
