import pytest
import torch
import yaml

import wavelight
from tests.places import TINY
from tests.runs import assert_same_run, fit, last
from tests.systems import TINY_DISCRIMINATOR, TINY_NCSNPP, tiny_ddgan
from tests.tiny import tiny_data, tiny_trainer
from wavelight.__main__ import main
from wavelight.factorizations.base import Factor
from wavelight.factors import FactorShape
from wavelight.noise import Noise
from wavelight.systems import DDGAN


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of three epochs that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    fit(folder, system=tiny_ddgan())
    return last(folder)


def test_training_moves_both_players(whole):
    start = tiny_ddgan().state_dict()
    for player in ("generator", "discriminator"):
        names = [name for name in start if player in name]
        assert any(not torch.equal(start[name], whole["state_dict"][name]) for name in names)
    assert all(tensor.isfinite().all() for tensor in whole["state_dict"].values())


def test_resuming_changes_nothing(whole, tmp_path):
    fit(tmp_path, system=tiny_ddgan(), max_epochs=2)
    fit(tmp_path, system=tiny_ddgan(), ckpt_path="last")
    assert_same_run(whole, last(tmp_path))


def test_what_is_logged_has_no_reconstruction(tmp_path):
    trainer = tiny_trainer(tmp_path, max_epochs=1)
    trainer.fit(tiny_ddgan(), datamodule=tiny_data())
    logged = {name for name in trainer.logged_metrics if name.startswith("train/")}
    assert logged >= {"train/generator/adversarial", "train/discriminator/real"}
    assert not [name for name in logged if "reconstruction" in name]


def test_the_loss_is_that_of_pixels():
    """Scaling nothing and splitting nothing, the target of the model is the image."""
    system, image = tiny_ddgan(), torch.rand(4, 3, 16, 16) * 2 - 1
    (factor,) = system.factorization.encode(image)
    assert torch.equal(factor.target, image)
    losses = system.models[0].losses(
        "generator", Factor(image), turn=0, noise=Noise(0, torch.arange(4))
    )
    assert list(losses) == ["adversarial"]


def test_drawn_images_are_pixels_in_range():
    system = tiny_ddgan()
    images = system.sample(5, seed=7, batch_size=2)
    assert images.shape == (5, 3, 16, 16)
    assert images.abs().max() <= 1
    torch.testing.assert_close(system.sample(2, seed=7, start=3), images[3:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("changes", [{}, {"image_size": 32}, {"channels": 1}])
def test_networks_are_built_for_the_pixels(changes):
    shapes = []

    def noted(build):
        return lambda shape: shapes.append(shape) or build(shape)

    networks = {"generator": noted(TINY_NCSNPP), "discriminator": noted(TINY_DISCRIMINATOR)}
    system = tiny_ddgan(**networks, **changes)
    pixels = FactorShape.square(system.channels, system.image_size)
    assert shapes == [pixels, pixels]
    assert system.sample(1).shape == (1, *pixels[:3])


def test_a_checkpoint_loads_without_its_configuration_file(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["wavelight"])
    config = yaml.safe_load(TINY.read_text())
    config["trainer"]["default_root_dir"] = str(tmp_path)
    config["trainer"] |= {"max_epochs": 1, "limit_train_batches": 2}
    config["model"]["class_path"] = "wavelight.systems.DDGAN"
    path = tmp_path / "ddgan.yaml"
    path.write_text(yaml.safe_dump(config))

    main(["fit", "--config", str(path)])

    system = wavelight.load(tmp_path / "checkpoints" / "last.ckpt")
    assert isinstance(system, DDGAN)
    assert system.sample(2).shape == (2, 3, 16, 16)
