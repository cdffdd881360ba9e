"""Scales of a WSGM that were trained apart are joined into one checkpoint."""

import copy
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

import wavelight
from data_modules import Scenes, WaveletDataModule
from tests.checkpoints import score_model
from tests.tiny import tiny_trainer
from wavelight.__main__ import main
from wavelight.checkpoints.loading import system_from_config
from wavelight.checkpoints.writing import write_start
from wavelight.commands.export import export
from wavelight.commands.join import join
from wavelight.systems import ImageGenerator
from wavelight.weights import holds_run, read_checkpoint


def experiment(train=None):
    """The configuration of a WSGM of two levels, as one would write it."""
    return {
        "seed_everything": 3,
        "model": {
            "class_path": "wavelight.systems.WSGM",
            "init_args": {
                "coarse": score_model(),
                "details": [score_model(), score_model()],
                "levels": 2,
                "train": train,
            },
        },
        "data": {
            "source": {"class_path": "data_modules.Scenes", "init_args": {"images": 64}},
            "image_size": 16,
            "batch_size": 8,
            "num_workers": 0,
            "val_images": 0,
        },
    }


def one_model(options):
    """Name one model of the details, which is built anew for each level."""
    options["init_args"]["details"] = score_model()


def shared_model(options):
    """Name one model that the levels share."""
    one_model(options)
    options["class_path"] = "wavelight.systems.Hybrid"
    options["init_args"]["share_details"] = True


def a_model_each(options):
    """Name a model of the details for each level, as the experiment does."""


@cache
def built(kind=a_model_each):
    """The same with every value of the model written out, as checkpoints have it, and its system."""
    config = experiment()
    kind(config["model"])
    config["model"]["init_args"] |= {"image_size": 16, "seed": 3}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageGenerator, "model")
    text = parser.dump(parser.parse_object({"model": config["model"]}), skip_unset=False)
    config |= yaml.safe_load(text)
    return config, system_from_config(yaml.safe_dump(config))


def checkpoint(path, train, change=lambda config: None, scale=2.0, kind=a_model_each):
    """Write the checkpoint of a run that trained some factors; its weights are its own."""
    config, system = copy.deepcopy(built(kind))
    config["model"]["init_args"]["train"] = train
    change(config["model"])
    for parameter in system.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    for band in (*system.factorization.coarse, *system.factorization.details):
        band.scale.fill_(scale)
    write_start(Path(path), system, yaml.safe_dump(config))
    return Path(path)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])


@pytest.fixture
def runs():
    def otherwise(model):
        options = model["init_args"]
        options["details"][0]["init_args"]["optimizer"]["init_args"]["lr"] = 0.5
        options["accumulate_grad_batches"] = 4
        options["start_from"] = "elsewhere.ckpt"

    torch.manual_seed(0)
    return [checkpoint("ends.ckpt", [2, 0]), checkpoint("middle.ckpt", [1], otherwise)]


def state(path):
    return read_checkpoint(Path(path))["state_dict"]


def test_each_factor_has_the_weights_of_the_run_that_trained_it(runs):
    join(runs, Path("folder/whole.ckpt"))
    whole, (ends, middle) = state("folder/whole.ckpt"), map(state, runs)
    assert whole.keys() == ends.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, (middle if name.startswith("models.1.") else ends)[name])
    assert not torch.equal(ends["models.1.score.stem.weight"], middle["models.1.score.stem.weight"])


def test_every_factor_of_the_whole_learns_with_its_own_optimizer(runs):
    join(runs[::-1], Path("whole.ckpt"))
    config = yaml.safe_load(read_checkpoint(Path("whole.ckpt"))["wavelight_config"])
    options = config["model"]["init_args"]
    assert options["train"] is None
    assert options["start_from"] is None
    models = [options["coarse"], *options["details"]]
    rates = [model["init_args"]["optimizer"]["init_args"]["lr"] for model in models]
    assert rates == [1e-3, 0.5, 1e-3]
    assert config["data"] == experiment()["data"]


@pytest.mark.slow
def test_the_whole_draws_and_is_exported(runs):
    before = torch.get_rng_state()
    join(runs, Path("whole.ckpt"))
    assert torch.equal(torch.get_rng_state(), before)
    system = wavelight.load("whole.ckpt")
    assert system.train_factors == [0, 1, 2]
    assert system.factorization.coarse[0].scale.unique() == 2
    images = system.sample(2, seed=5)
    assert images.shape == (2, 3, 16, 16)
    export(Path("whole.ckpt"), Path("whole.safetensors"))
    assert torch.equal(wavelight.load("whole.safetensors").sample(2, seed=5), images)


@pytest.mark.slow
def test_a_new_run_starts_from_the_whole(runs, tmp_path, caplog):
    join(runs, Path("whole.ckpt"))
    assert not holds_run(Path("whole.ckpt"))
    system = wavelight.load(runs[1])
    data = WaveletDataModule(Scenes(images=64), 16, batch_size=8, seed=3, num_workers=0)
    trainer = tiny_trainer(tmp_path, max_epochs=1, limit_train_batches=1)
    system.start_from = None
    trainer.fit(system, datamodule=data, ckpt_path="whole.ckpt")
    # What it did not train is as it was joined, and bands are scaled as they were.
    whole, after = state("whole.ckpt"), system.state_dict()
    for name, tensor in whole.items():
        assert torch.equal(tensor, after[name]) or name.startswith("models.1.")


@pytest.mark.slow
def test_the_models_of_a_system_made_of_its_parts_are_joined():
    def generic(model):
        options = model["init_args"]
        options["models"] = [options.pop("coarse"), *options.pop("details")]
        options["factorization"] = {
            "class_path": "wavelight.factorizations.Pyramid",
            "init_args": {"levels": options.pop("levels"), "wavelet": options.pop("wavelet")},
        }
        del options["scaling"]
        model["class_path"] = "wavelight.systems.ImageGenerator"

    parts = [
        checkpoint("coarse.ckpt", [0], generic),
        checkpoint("details.ckpt", [1, 2], generic),
    ]
    join(parts, Path("whole.ckpt"))
    for name, tensor in state("whole.ckpt").items():
        assert torch.equal(tensor, state(parts[not name.startswith("models.0.")])[name])


def rate(model):
    model["init_args"]["details"]["init_args"]["optimizer"]["init_args"]["lr"] = 0.5


@pytest.mark.parametrize("other", [one_model, a_model_each])
def test_one_model_for_all_levels_becomes_one_a_level(other):
    change = rate if other is one_model else lambda model: None
    runs = [
        checkpoint("ends.ckpt", [0, 2], kind=one_model),
        checkpoint("middle.ckpt", [1], change, kind=other),
    ]
    join(runs, Path("whole.ckpt"))
    options = yaml.safe_load(read_checkpoint(Path("whole.ckpt"))["wavelight_config"])["model"]
    details = options["init_args"]["details"]
    rates = [model["init_args"]["optimizer"]["init_args"]["lr"] for model in details]
    assert rates == [0.5 if other is one_model else 1e-3, 1e-3]
    whole, (ends, middle) = state("whole.ckpt"), map(state, runs)
    assert {name.split(".")[1] for name in whole if name.startswith("models.")} == {"0", "1", "2"}
    for name, tensor in whole.items():
        assert torch.equal(tensor, (middle if name.startswith("models.1.") else ends)[name])
    loaded = wavelight.load("whole.ckpt", ema=False).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in whole.items())


@pytest.mark.parametrize("train", [[1], [2], [1, 2]])
def test_a_model_that_levels_share_stays_one(train):
    runs = [
        checkpoint("coarse.ckpt", [0], kind=shared_model),
        checkpoint("details.ckpt", train, rate, kind=shared_model),
    ]
    join(runs, Path("whole.ckpt"))
    options = yaml.safe_load(read_checkpoint(Path("whole.ckpt"))["wavelight_config"])["model"]
    assert options["init_args"]["share_details"] is True
    details = options["init_args"]["details"]
    assert details["init_args"]["optimizer"]["init_args"]["lr"] == 0.5
    whole, (coarse, details) = state("whole.ckpt"), map(state, runs)
    assert {name.split(".")[1] for name in whole if name.startswith("models.")} == {"0", "1"}
    for name, tensor in whole.items():
        assert torch.equal(tensor, (details if name.startswith("models.1.") else coarse)[name])
    assert wavelight.load("whole.ckpt").sample(2, seed=5).shape == (2, 3, 16, 16)


def test_a_shared_model_is_trained_once():
    runs = [
        checkpoint("one.ckpt", [0, 1], kind=shared_model),
        checkpoint("two.ckpt", [2], kind=shared_model),
    ]
    with pytest.raises(ValueError, match=r"factor 1 was trained in both one.ckpt and two.ckpt"):
        join(runs, Path("whole.ckpt"))


def test_other_models_of_the_details_are_another_system_in_either_form():
    def longer(model):
        model["init_args"]["details"]["init_args"]["steps"] = 5

    one = checkpoint("one.ckpt", [0, 1], kind=one_model)
    for kind, change, option in (
        (one_model, longer, "model.details.steps"),
        (a_model_each, steps, "model.details.1.steps"),
    ):
        two = checkpoint("two.ckpt", [2], change, kind=kind)
        with pytest.raises(ValueError, match=f"{option} is 2 in the first and 5 in the second"):
            join([one, two], Path("whole.ckpt"))


def wavelet(model):
    model["init_args"]["wavelet"] = "db2"


def steps(model):
    model["init_args"]["details"][1]["init_args"]["steps"] = 5


def one_level_less(model):
    del model["init_args"]["details"][0]
    model["init_args"]["levels"] = 1


def seed(model):
    model["init_args"]["seed"] = 4


@pytest.mark.parametrize(
    ("train", "changes", "sentence"),
    [
        ([0], {}, "factor 1 was trained in none of the checkpoints"),
        (
            [0, 1, 2],
            {},
            "factor 2 was trained in both one.ckpt and two.ckpt: name only one of them",
        ),
        (None, {}, "factor 2 was trained in both one.ckpt and two.ckpt: name only one of them"),
        (
            [0, 1],
            {"scale": 2.1},
            "one.ckpt and two.ckpt were trained on different data: factorization.coarse.0.scale differs",
        ),
        ([0, 1], {"change": wavelet}, "model.wavelet is haar in the first and db2 in the second"),
        ([0, 1], {"change": steps}, "model.details.1.steps is 2 in the first and 5 in the second"),
        (
            [0],
            {"change": one_level_less},
            "one.ckpt and two.ckpt hold different systems: model.",
        ),
        ([0, 1], {"change": seed}, "model.seed is 3 in the first and 4 in the second"),
    ],
)
def test_runs_that_do_not_go_together_are_refused(train, changes, sentence):
    one = checkpoint("one.ckpt", train)
    two = checkpoint("two.ckpt", [2], **changes)
    with pytest.raises(ValueError, match=sentence) as refused:
        join([one, two], Path("whole.ckpt"))
    assert "\n" not in str(refused.value)
    assert not Path("whole.ckpt").exists()


def test_nothing_but_checkpoints_of_several_factors_is_joined(runs):
    with pytest.raises(ValueError, match=r"the output file must end in .ckpt, got whole.pth"):
        join(runs, Path("whole.pth"))
    with pytest.raises(
        ValueError, match="checkpoints is empty: name at least one checkpoint to join"
    ):
        join([], Path("whole.ckpt"))
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint none.ckpt"):
        join([*runs, Path("none.ckpt")], Path("whole.ckpt"))
    system = wavelight.load(runs[0])
    write_start(Path("bare.ckpt"), system, "")
    with pytest.raises(ValueError, match=r"bare.ckpt holds no configuration"):
        join([Path("bare.ckpt")], Path("whole.ckpt"))
    text = yaml.safe_dump({"model": {"class_path": "wavelight.systems.SGM", "init_args": {}}})
    write_start(Path("sgm.ckpt"), system, text)
    with pytest.raises(
        ValueError,
        match=r"sgm.ckpt holds a wavelight.systems.SGM, whose factors are not trained separately: join",
    ):
        join([Path("sgm.ckpt")], Path("whole.ckpt"))


def test_the_command(runs, capsys):
    main(["join", "[ends.ckpt,middle.ckpt]", "--out", "whole.ckpt"])
    assert wavelight.load("whole.ckpt").train_factors == [0, 1, 2]
    for words in (["ends.ckpt", "middle.ckpt"], ["*d*.ckpt"]):
        main(["join", *words, "--out", "joined/whole.ckpt"])
        whole, joined = state("whole.ckpt"), state("joined/whole.ckpt")
        assert all(torch.equal(joined[name], tensor) for name, tensor in whole.items())
    with pytest.raises(SystemExit):
        main(["join", "[ends.ckpt]", "--out", "whole.ckpt"])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "factor 1 was trained in none" in said[0]


@pytest.mark.slow
def test_runs_of_the_command_line_are_joined():
    for name, train in {"coarse": [0], "details": [1, 2]}.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump(experiment(train)))
        here = ["--config", f"{name}.yaml", "--trainer.default_root_dir", name]
        small = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"]
        main(["fit", *here, *small, "--trainer.accelerator", "cpu", "--trainer.logger", "false"])
    parts = [Path(name, "checkpoints", "last.ckpt") for name in ("coarse", "details")]
    join(parts, Path("whole.ckpt"))
    for name, tensor in state("whole.ckpt").items():
        assert torch.equal(tensor, state(parts[not name.startswith("models.0.")])[name])
    main(["sample", "whole.ckpt", "--out", "one", "--images", "2", "--seed", "5"])
    Path("whole.yaml").write_text(yaml.safe_dump(experiment()))
    here = ["--config", "whole.yaml", "--ckpt_path", "whole.ckpt", "--trainer.accelerator", "cpu"]
    main(["predict", *here, "--out", "two", "--images", "2", "--seed", "5"])
    for number in range(2):
        name = f"{number:06d}.png"
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
    main(["fit", *here, *small, "--trainer.default_root_dir", "all", "--trainer.logger", "false"])
    after = state("all/checkpoints/last.ckpt")
    for name, tensor in state("whole.ckpt").items():
        if name.startswith("factorization."):
            assert torch.equal(tensor, after[name])
        elif name.endswith("score.head.weight"):
            assert not torch.equal(tensor, after[name])
