"""Latent diffusion: an autoencoder is trained, then frozen inside the system that models its latent."""

from functools import partial

import pytest
import torch

from data_modules import Scenes, WaveletDataModule
from tests.runs import assert_same_run, last
from tests.runs import fit as fit_on
from tests.systems import ADAM, TINY_AUTOENCODER, score_model, tiny_ldm
from wavelight.factors import FactorShape
from wavelight.models import VariationalAutoencoder
from wavelight.networks import Autoencoder
from wavelight.systems import LDM, SGM
from wavelight.systems.cost import cost
from wavelight.systems.ldm import autoencoder_state
from wavelight.weights import load_weights, sampling_state, write_safetensors


def fit(folder, **options):
    """Train on few images, of which the statistics of the latent are soon measured."""
    data = WaveletDataModule(
        Scenes(32), 16, batch_size=8, seed=3, num_workers=0, cache_dir=folder / "cache"
    )
    fit_on(folder, data=data, **options)


def vae_system():
    torch.manual_seed(1)
    vae = partial(
        VariationalAutoencoder, autoencoder=TINY_AUTOENCODER, optimizer=ADAM, kl_weight=1e-3
    )
    return SGM(model=vae, image_size=16, seed=3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The checkpoint of a run that trained an autoencoder."""
    folder = tmp_path_factory.mktemp("autoencoder")
    fit(folder, system=vae_system(), max_epochs=1)
    return folder / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def whole(weights, tmp_path_factory):
    """A run of three epochs that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    fit(folder, system=tiny_ldm(autoencoder_weights=weights))
    return last(folder)


def of_autoencoder(state):
    return {
        name.partition("autoencoder.")[2]: tensor
        for name, tensor in state.items()
        if "autoencoder." in name
    }


def test_the_autoencoder_is_frozen_and_the_model_learns(weights, whole):
    trained = of_autoencoder(torch.load(weights)["state_dict"])
    kept = of_autoencoder(whole["state_dict"])
    assert trained.keys() == kept.keys() == TINY_AUTOENCODER(IMAGE).state_dict().keys()
    assert all(torch.equal(trained[name], kept[name]) for name in trained)
    start = tiny_ldm().state_dict()
    learnt = [name for name in start if name.startswith("models.0.")]
    assert any(not torch.equal(start[name], whole["state_dict"][name]) for name in learnt)


IMAGE = FactorShape.square(3, 16)


def test_statistics_are_those_of_the_trained_latent(whole):
    scale = whole["state_dict"]["factorization.scaled.scale"]
    assert scale.shape == (4, 1, 1)
    assert not torch.equal(scale, torch.ones_like(scale))


def test_resuming_needs_no_autoencoder_and_changes_nothing(weights, whole, tmp_path):
    fit(tmp_path, system=tiny_ldm(autoencoder_weights=weights), max_epochs=2)
    fit(tmp_path, system=tiny_ldm(autoencoder_weights=tmp_path / "gone.ckpt"), ckpt_path="last")
    assert_same_run(whole, last(tmp_path))


def test_what_is_exported_samples_without_the_autoencoders_file(whole, tmp_path):
    system, other = tiny_ldm(), tiny_ldm()
    system.load_state_dict(whole["state_dict"])
    write_safetensors(tmp_path / "ldm.safetensors", sampling_state(system), {})
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.zero_()
    load_weights(other, tmp_path / "ldm.safetensors")
    images = system.sample(3, seed=5)
    assert torch.equal(other.sample(3, seed=5), images)
    assert images.shape == (3, 3, 16, 16)
    assert images.std() > 0


def test_an_exported_autoencoder_is_taken(weights, tmp_path):
    system = vae_system()
    load_weights(system, weights)
    write_safetensors(tmp_path / "vae.safetensors", sampling_state(system), {})
    exported, trained = (
        autoencoder_state(file) for file in (tmp_path / "vae.safetensors", weights)
    )
    assert exported.keys() == trained.keys()
    assert all(torch.equal(exported[name], trained[name]) for name in trained)


def test_the_decoder_is_part_of_the_cost():
    model, decoder = cost(tiny_ldm())
    assert (model.name, model.evaluations) == ("models.0.score", 5)
    assert (decoder.name, decoder.evaluations) == ("factorization.autoencoder", 1)
    network = TINY_AUTOENCODER(IMAGE)
    # 3x3 convolutions: of the latent, of a block, after doubling, of a block, to four pixels of three colours.
    at_four, at_eight = 16 * 9, 64 * 9
    expected = at_four * (4 * 8 + 4 * 8 * 8) + at_eight * (8 * 8 + 4 * 8 * 8 + 8 * 12)
    assert decoder.macs == expected
    assert decoder.parameters == sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "autoencoder_weights must be a checkpoint of a trained autoencoder .*, got none"),
        (
            {"autoencoder": partial(Autoencoder, latent_channels=4, width=8, multipliers=[1])},
            r"autoencoder_weights must hold the weights of model.autoencoder, got .*last.ckpt: .*encoder\.",
        ),
    ],
)
def test_runs_without_their_autoencoder_are_refused(changes, message, weights, tmp_path):
    if changes:
        changes = {"autoencoder_weights": weights, **changes}
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, system=tiny_ldm(**changes))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*gone.ckpt"):
        fit(tmp_path, system=tiny_ldm(autoencoder_weights=tmp_path / "gone.ckpt"))


def test_networks_that_do_not_encode_are_refused():
    network = score_model().keywords["network"]
    with pytest.raises(ValueError, match="autoencoder must be a network with encode"):
        LDM(model=score_model(), autoencoder=network, image_size=16, seed=0)
