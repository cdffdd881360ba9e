import pytest
import torch
import yaml

import wavelight
from tests.places import TINY
from tests.runs import assert_same_run, fit, last
from tests.systems import tiny_ddgan
from tests.tiny import tiny_data, tiny_trainer
from wavelight.__main__ import main
from wavelight.factorizations.base import Factor
from wavelight.networks import NCSNpp, SmallDiscriminator
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
        "generator", Factor(image, None), turn=0, noise=Noise(0, torch.arange(4))
    )
    assert list(losses) == ["adversarial"]


def test_drawn_images_are_pixels_in_range():
    system = tiny_ddgan()
    images = system.sample(5, seed=7, batch_size=2)
    assert images.shape == (5, 3, 16, 16)
    assert images.abs().max() <= 1
    torch.testing.assert_close(system.sample(2, seed=7, start=3), images[3:], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (
            {"generator": NCSNpp(16, 12, 16, [1], [], 1, blocks=1)},
            "the generator is built for channels 12, but what it samples has channels 3",
        ),
        (
            {"generator": NCSNpp(8, 3, 16, [1], [], 1, blocks=1)},
            "the generator is built for resolution 8, but what it samples has resolution 16",
        ),
        (
            {"discriminator": SmallDiscriminator(12, 4, 3)},
            "the discriminator is built for channels 12, but what it samples has channels 3",
        ),
    ],
)
def test_networks_of_sub_bands_are_refused(network, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        tiny_ddgan(**network)


def test_a_checkpoint_loads_without_its_configuration_file(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["wavelight"])
    config = yaml.safe_load(TINY.read_text())
    config["trainer"]["default_root_dir"] = str(tmp_path)
    config["trainer"] |= {"max_epochs": 1, "limit_train_batches": 2}
    config["model"]["class_path"] = "wavelight.systems.DDGAN"
    parts = config["model"]["init_args"]
    parts["generator"]["init_args"] |= {"resolution": 16, "channels": 3}
    parts["discriminator"]["init_args"]["channels"] = 3
    path = tmp_path / "ddgan.yaml"
    path.write_text(yaml.safe_dump(config))

    main(["fit", "--config", str(path)])

    system = wavelight.load(tmp_path / "checkpoints" / "last.ckpt")
    assert isinstance(system, DDGAN)
    assert system.sample(2).shape == (2, 3, 16, 16)
