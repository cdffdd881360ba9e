"""What holds for systems of images of any size, channels, levels and wavelet, and for batches of any size."""

from functools import partial

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_modules.statistics import measure
from tests.examples import EXAMPLES, MANY
from tests.systems import (
    consistency_model,
    detail_gan,
    distributional,
    mean_flow,
    regression,
    score_model,
    scoring,
    tiny_ddgan,
    tiny_hybrid,
    tiny_ldm,
    tiny_sgm,
    tiny_wavelet_diffusion,
    tiny_wsgm,
)
from tests.tiny import tiny_system
from wavelight.factorizations.scaling import Eigenbasis, Half, PerChannel
from wavelight.noise import Noise
from wavelight.wavelets import filter_length

SIZES = [8, 12, 16, 24, 32]
WAVELETS = ["haar", "db2", "sym4", "bior2.2"]


@st.composite
def systems(draw):
    image = {
        "image_size": draw(st.sampled_from(SIZES)),
        "channels": draw(st.integers(1, 4)),
        "bounded": draw(st.booleans()),
    }
    # Generators that end in tanh take Haar's bands alone, unless others were measured.
    levels, wavelet = draw(st.integers(1, 3)), "haar"
    of_any = {"levels": levels, "wavelet": draw(st.sampled_from(WAVELETS)), **image}
    pyramid = {"levels": levels, "wavelet": wavelet, "scaling": Half(), **image}
    details = score_model(steps=2)
    share = draw(st.booleans())
    scored = {"coarse": distributional(), "details": scoring(), "share_details": share}
    white = {"scaling": PerChannel(), "detail_scaling": Eigenbasis()}
    kinds = {
        "sgm": partial(tiny_sgm, **image),
        "ldm": partial(tiny_ldm, **image),
        "ddgan": partial(tiny_ddgan, **image),
        "wavediff": partial(tiny_system, levels=levels, wavelet=wavelet, **image),
        "wavelet_diffusion": partial(tiny_wavelet_diffusion, **of_any),
        "wsgm": partial(tiny_wsgm, details=details, **of_any),
        "few_steps": partial(tiny_wsgm, coarse=mean_flow(), details=consistency_model(1), **of_any),
        "scoring": partial(tiny_hybrid, **scored, **white, **of_any),
        "gano": partial(tiny_hybrid, details=detail_gan(), share_details=share, **pyramid),
        "regression": partial(tiny_hybrid, details=regression(), share_details=share, **pyramid),
    }
    of_any_wavelet = ("wavelet_diffusion", "wsgm", "few_steps", "scoring")
    name = draw(st.sampled_from(sorted(kinds)))
    with_levels = name not in ("sgm", "ldm", "ddgan")
    side = image["image_size"]
    wavelet = of_any["wavelet"] if name in of_any_wavelet else wavelet
    if with_levels:
        assume(side % 2**levels == 0 and side >> (levels - 1) >= filter_length(wavelet))
        # Networks of the tests halve what they get once more.
        assume(side >> levels >= 4)
    assume(name in ("sgm", "ldm", *of_any_wavelet) or image["bounded"])
    system = kinds[name]().eval()
    factorization = system.factorization
    if factorization.needs_statistics():
        images = [batch_of(system, 32, 0)]
        factorization.fit(
            measure(images, system.channels, factorization.split, factorization.levels)
        )
    return system


def batch_of(system, images, seed):
    random = torch.Generator().manual_seed(seed)
    shape = (images, system.channels, system.image_size, system.image_size)
    return torch.rand(shape, generator=random) * 2 - 1


def check_training(system, images, seed):
    factors = system.factorization.encode(batch_of(system, images, seed))
    for factor, model in zip(factors, system.factor_models(), strict=True):
        for player in model.players():
            noise = Noise(seed, torch.arange(images))
            terms = model.losses(player, factor, 0, noise)
            assert terms
            assert all(term.shape == () and term.isfinite() for term in terms.values())


def check_sampling(system, index, seed):
    whole = system.generate(torch.tensor(index), seed)
    assert whole.shape == (len(index), system.channels, system.image_size, system.image_size)
    assert whole.isfinite().all()
    assert not system.bounded or whole.abs().max() <= 1
    assert torch.equal(system.generate(torch.tensor(index), seed), whole)
    alone = torch.cat([system.generate(torch.tensor([number]), seed) for number in index])
    torch.testing.assert_close(alone, whole, atol=2e-4, rtol=2e-4)


SEEDS = st.integers(0, 2**31)
INDICES = st.lists(st.integers(0, 2**40), min_size=1, max_size=3, unique=True)


@given(systems(), SEEDS)
@settings(EXAMPLES, max_examples=6)
def test_losses_are_finite(system, seed):
    check_training(system, 4, seed)


@given(systems(), INDICES, SEEDS)
@settings(EXAMPLES, max_examples=6)
def test_an_image_is_one_image_in_any_batch(system, index, seed):
    check_sampling(system, index, seed)


@pytest.mark.slow
@given(systems(), st.sampled_from([4, 8, 12]), INDICES, SEEDS)
@MANY
def test_many_systems_learn_and_sample(system, images, index, seed):
    check_training(system, images, seed)
    check_sampling(system, index, seed)
