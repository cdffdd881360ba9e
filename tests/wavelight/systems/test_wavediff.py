from functools import partial

import pytest
import torch
import yaml

import wavelight
from data_modules import Scenes, WaveletDataModule
from tests.places import TINY
from tests.systems import TINY_DISCRIMINATOR, TINY_NCSNPP, denoising_gan
from tests.tiny import tiny_system, tiny_trainer
from wavelight.__main__ import main
from wavelight.callbacks import SampleGrid
from wavelight.checkpoints.digest import digest
from wavelight.factorizations.base import Pixels
from wavelight.factorizations.scaling import Peak, PerChannel, Scalar, Unscaled
from wavelight.factors import FactorShape
from wavelight.networks.published import published_state
from wavelight.systems import ImageGenerator
from wavelight.weights import load_weights, read_checkpoint

DEEP = {"levels": 2, "wavelet": "db2", "scaling": Peak()}


def deep_system(**changes):
    """A system whose networks see 48 bands of 4x4 pixels."""
    return tiny_system(**({"levels": 2} | changes))


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({}, (12, 8, 8)),
        ({"image_size": 32}, (12, 16, 16)),
        ({"channels": 1}, (4, 8, 8)),
        ({"levels": 2}, (48, 4, 4)),
        ({"wavelet": "db2", "scaling": Peak()}, (12, 8, 8)),
    ],
)
def test_networks_are_built_for_the_sub_bands(changes, shape):
    shapes = []

    def noted(build):
        return lambda shape: shapes.append(shape) or build(shape)

    networks = {"generator": noted(TINY_NCSNPP), "discriminator": noted(TINY_DISCRIMINATOR)}
    system = tiny_system(**networks, **changes)
    assert shapes == [FactorShape(*shape), FactorShape(*shape)]
    side = system.image_size
    assert system.sample(1).shape == (1, system.channels, side, side)


def train_two_batches(system, folder, *callbacks):
    trainer = tiny_trainer(folder, *callbacks, max_epochs=1, limit_train_batches=2)
    data = WaveletDataModule(
        Scenes(images=32), 16, batch_size=8, seed=3, num_workers=0, cache_dir=folder / "cache"
    )
    trainer.fit(system, datamodule=data)
    return folder / "checkpoints" / "last.ckpt"


def test_two_levels_train_and_draw(tmp_path):
    system = deep_system()
    before = system.models[0].generator.head.weight.clone()
    train_two_batches(system, tmp_path)
    assert not torch.equal(system.models[0].generator.head.weight, before)
    images = system.sample(3)
    assert images.shape == (3, 3, 16, 16)
    assert images.isfinite().all()


def test_another_wavelet_is_measured_and_a_checkpoint_draws_without_data(tmp_path):
    trained = deep_system(**DEEP)
    path = train_two_batches(trained, tmp_path)
    scale = trained.factorization.details[0].scale
    assert (scale > 0).all()
    assert not (scale == 1).any()
    fresh = deep_system(**DEEP)
    load_weights(fresh, path)
    assert torch.equal(fresh.factorization.details[0].scale, scale)
    load_weights(trained, path)
    assert torch.equal(fresh.sample(2), trained.sample(2))


def test_fine_tuning_keeps_the_scaling_that_its_weights_were_learnt_with(tmp_path):
    path = train_two_batches(deep_system(**DEEP), tmp_path / "first")
    checkpoint = read_checkpoint(path)
    scale = checkpoint["state_dict"]["factorization.coarse.scale"]
    scale *= 2  # as of other data
    torch.save(checkpoint, tmp_path / "other.ckpt")
    tuned = deep_system(**DEEP, start_from=tmp_path / "other.ckpt")
    train_two_batches(tuned, tmp_path / "second")
    assert torch.equal(tuned.factorization.coarse.scale, scale)


def test_a_bare_network_learns_anew_how_bands_are_scaled(tmp_path):
    network = deep_system().models[0].generator
    torch.save(published_state(network), tmp_path / "netG.pth")
    tuned = deep_system(**DEEP, start_from=tmp_path / "netG.pth")
    train_two_batches(tuned, tmp_path / "run")
    assert not (tuned.factorization.coarse.scale == 1).any()


def test_the_first_picture_is_drawn_with_the_scaling(tmp_path):
    system, scales = deep_system(**DEEP), []
    grid = SampleGrid(1)
    draw = system.sample
    system.sample = lambda *a, **k: (
        scales.append(system.factorization.coarse.scale.clone()) or draw(*a, **k)
    )
    train_two_batches(system, tmp_path, grid)
    assert not (scales[0] == 1).any()


def test_images_of_another_scaling_are_other_images():
    one, two = deep_system(**DEEP), deep_system(**DEEP)
    two.load_state_dict(one.state_dict())
    assert digest(one) == digest(two)
    two.factorization.coarse.scale *= 2
    assert digest(one) != digest(two)


def test_an_exported_generator_carries_the_scaling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])
    overrides = {
        "model": {"init_args": {"levels": 2, "wavelet": "db2"}},
        "data": {"cache_dir": "cache", "source": {"init_args": {"images": 32}}},
    }
    model = overrides["model"]["init_args"]
    model["scaling"] = {"class_path": "wavelight.factorizations.Peak"}
    (tmp_path / "deep.yaml").write_text(yaml.safe_dump(overrides))
    options = ["--trainer.max_epochs=1", "--trainer.default_root_dir=run"]
    main(["fit", "--config", str(TINY), "--config", "deep.yaml", *options])
    checkpoint = "run/checkpoints/last.ckpt"
    main(["export", checkpoint, "--out", "generator.safetensors"])
    exported = wavelight.load("generator.safetensors")
    scale = read_checkpoint(tmp_path / checkpoint)["state_dict"]["factorization.coarse.scale"]
    assert torch.equal(exported.factorization.coarse.scale, scale)
    assert torch.equal(exported.sample(2), wavelight.load(checkpoint).sample(2))


@pytest.mark.parametrize(
    "changes",
    [
        {"wavelet": "db2"},
        {"scaling": Unscaled()},
        {"scaling": Scalar()},
        {"scaling": PerChannel()},
    ],
)
def test_bands_that_tanh_cannot_reach_are_refused(changes):
    with pytest.raises(ValueError, match=r"scaling must keep bands in \[-1, 1\] .*: take Peak"):
        tiny_system(**changes)
    tiny_system(generator=partial(TINY_NCSNPP, bounded=False), **changes)


def test_fields_that_tanh_cannot_reach_are_refused():
    parts = {"factorization": Pixels(), "models": [denoising_gan()], "image_size": 16, "seed": 0}
    ImageGenerator(**parts)
    with pytest.raises(ValueError, match="scaling must keep bands in"):
        ImageGenerator(**parts, bounded=False)


def test_a_size_that_the_levels_do_not_divide_is_refused():
    with pytest.raises(
        ValueError, match=r"image_size must be divisible by 2\*\*levels = 8, got 12"
    ):
        tiny_system(levels=3, image_size=12)
