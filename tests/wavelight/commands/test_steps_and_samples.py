"""The commands do for score models what they do for the others: a run of ``demo_wsgm``, narrowed to a few batches."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
import yaml

import wavelight
from wavelight.__main__ import main
from wavelight.checkpoints.published import experiment_config
from wavelight.diffusion.samplers import HeunWithChurn, dpmpp_2m
from wavelight.systems.cost import cost


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])


def narrow(model):
    options = model["init_args"]
    options["network"]["init_args"] |= {
        "width": 16,
        "multipliers": [1],
        "attention_resolutions": [],
    }
    return options


def narrowed(folder):
    """Write the configuration of a run of two epochs of three batches, with steps that differ between the bands."""
    config = yaml.safe_load(experiment_config("demo_wsgm"))
    parts = config["model"]["init_args"]
    parts["details"] = [deepcopy(parts["details"]) for _ in range(parts["levels"])]
    for index, model in enumerate([parts["coarse"], *parts["details"]]):
        narrow(model)["steps"] = 4 - index
    config["trainer"] = {
        "default_root_dir": str(folder / "run"),
        "accelerator": "cpu",
        "max_epochs": 2,
        "limit_train_batches": 3,
        "enable_progress_bar": False,
    }
    config["data"] |= {"batch_size": 4, "held_out": 0, "val_images": 0, "cache_dir": str(folder)}
    config["data"]["source"]["init_args"]["images"] = 16
    path = folder / "narrow.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The configuration and the checkpoint of a finished run."""
    folder = tmp_path_factory.mktemp("trained")
    path = narrowed(folder)
    main(["fit", "--config", str(path)])
    return path, folder / "run" / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def loaded(trained):
    """The system of the checkpoint."""
    return wavelight.load(trained[1])


def test_a_checkpoint_alone_draws(loaded):
    images = loaded.sample(3, seed=5)
    assert images.shape == (3, 3, 32, 32)
    assert images.abs().max() <= 1
    assert [model.sampler for model in loaded.models] == [dpmpp_2m] * 3
    assert torch.equal(loaded.sample(3, seed=5), images)


def test_an_export_draws_the_same_images(trained, loaded):
    main(["export", str(trained[1]), "--out", "networks.safetensors"])
    images = wavelight.load("networks.safetensors").sample(2, seed=1)
    assert torch.equal(images, loaded.sample(2, seed=1))


def test_a_run_that_was_stopped_goes_on_to_the_same_end(trained):
    options = ["--config", str(trained[0]), "--trainer.default_root_dir", "again"]
    main(["fit", *options, "--trainer.max_epochs", "1"])
    main(["fit", *options, "--ckpt_path", "last"])
    again = torch.load("again/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    once = torch.load(trained[1], weights_only=True)["state_dict"]
    assert once.keys() == again.keys()
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_the_cost_of_each_band_is_counted(loaded):
    """DPM-Solver++ evaluates its network once a step."""
    assert [network.evaluations for network in cost(loaded)] == [4, 3, 2]


def test_drawing_is_timed(trained, capsys):
    quick = ["--batch_sizes", "[1]", "--warm_ups", "0", "--repetitions", "1"]
    main(["time", str(trained[1]), *quick])
    assert "| 4 + 3 + 2 |" in capsys.readouterr().out


def test_files_name_samplers_that_have_options(trained):
    """A function by its import path, and a class by its path with what it is made with."""
    config = yaml.safe_load(trained[0].read_text())
    model = config["model"]["init_args"].pop("coarse")
    narrow(model)["sampler"] = {
        "class_path": "wavelight.diffusion.samplers.HeunWithChurn",
        "init_args": {"churn": 4.0},
    }
    config["model"] = {"class_path": "wavelight.systems.SGM", "init_args": {"model": model}}
    config["trainer"] |= {"default_root_dir": "churned", "max_epochs": 1, "limit_train_batches": 2}
    Path("churned.yaml").write_text(yaml.safe_dump(config))
    main(["fit", "--config", "churned.yaml"])
    system = wavelight.load("churned/checkpoints/last.ckpt")
    assert isinstance(system.models[0].sampler, HeunWithChurn)
    assert system.models[0].sampler.churn == 4
    assert system.sample(1).isfinite().all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model.init_args.coarse.init_args.sampler", "ddim"], "there is no class ddim"),
        (
            ["--model.init_args.coarse.init_args.sampler", "wavelight.diffusion.samplers.euler"],
            "has no attribute 'euler'",
        ),
        (
            ["--model.init_args.coarse.init_args.network.init_args.resolution", "16"],
            "Option 'resolution' is not accepted",
        ),
        (
            ["--model.init_args.details.init_args.steps", "3"],
            "--model.init_args.details.init_args.steps must not point inside a list, got model.init_args.details, "
            "a list of 2",
        ),
        (
            ["--model.levels", "3"],
            "details must be one model for all levels or a list of one a level, got 2 for levels 3",
        ),
        (["--data.image_size", "30"], "image_size must be divisible by 2**levels = 4, got 30"),
        (["--model.init_args.coarse.init_args.steps", "0"], "steps must be at least 1, got 0"),
        (["--model.init_args.train", "[3]"], "train must name factors from 0 to 2, got [3]"),
    ],
)
def test_bad_input_is_one_sentence(trained, options, sentence, capfd):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--config", str(trained[0]), *options])
    assert stopped.value.code == 2
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("wavelight: ")]
    assert len(said) == 1
    assert sentence in said[0]
    assert "Traceback" not in said[0]


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_a_checkpoint_of_another_scale_is_refused(trained, command, capfd):
    """One network of three has another width."""
    config = yaml.safe_load(trained[0].read_text())
    network = config["model"]["init_args"]["details"][1]["init_args"]["network"]["init_args"]
    network["width"] = 32
    config["trainer"]["default_root_dir"] = "other"
    Path("other.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as stopped:
        main([command, "--config", "other.yaml", "--ckpt_path", str(trained[1])])
    assert stopped.value.code == 2
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("wavelight: ")]
    assert len(said) == 1
    assert "the checkpoint does not fit the model: models.2.score." in said[0]
    assert "in the file and has shape" in said[0]
