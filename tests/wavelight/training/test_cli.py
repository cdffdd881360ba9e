import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import wavelight
from tests import places
from wavelight.__main__ import main
from wavelight.commands import COMMANDS, GROUPS
from wavelight.config.experiments import find_experiment
from wavelight.training.saved_config import git_revision

TINY = str(places.TINY)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def fit(*options, root="run"):
    main(["fit", "--config", TINY, "--trainer.default_root_dir", root, *options])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The checkpoint of a finished run."""
    root = tmp_path_factory.mktemp("trained")
    fit(root=str(root))
    return root / "checkpoints" / "last.ckpt"


def test_a_run_leaves_its_configuration_its_numbers_and_a_checkpoint(trained):
    root = trained.parent.parent
    config = yaml.safe_load((root / "config.yaml").read_text())
    assert config["model"]["class_path"] == "wavelight.systems.WaveDiff"
    rows = rows_of(root / "metrics.csv")
    assert [float(row["images_seen"]) for row in rows] == [8, 16, 24, 32, 40, 48]
    assert all(float(row["train/generator/reconstruction"]) > 0 for row in rows)


def test_the_saved_configuration_repeats_the_run(trained, tmp_path):
    config = trained.parent.parent / "config.yaml"
    main(["fit", "--config", str(config), "--trainer.default_root_dir", str(tmp_path)])
    again = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    first = torch.load(trained, weights_only=True)["state_dict"]
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_printed_configuration_round_trips(capsys):
    def printed(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["fit", *arguments, "--print_config"])
        assert not stopped.value.code
        return capsys.readouterr().out

    first = printed("--config", TINY, "--data.batch_size", "16")
    Path("printed.yaml").write_text(first)
    assert yaml.safe_load(printed("--config", "printed.yaml")) == yaml.safe_load(first)
    assert yaml.safe_load(first)["data"]["batch_size"] == 16


def test_later_configurations_win(capsys):
    Path("more.yaml").write_text("data: {batch_size: 4}\nmodel: {init_args: {steps: 3}}\n")
    with pytest.raises(SystemExit):
        main(["fit", "--config", TINY, "--config", "more.yaml", "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["data"]["batch_size"] == 4
    assert config["model"]["init_args"]["steps"] == 3
    assert config["model"]["init_args"]["r1_every"] == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--config", "nosuch.yaml"], "nosuch.yaml"),
        (["--config", TINY, "--data.nonsense", "3"], "nonsense"),
        (
            ["--config", TINY, "--data.batch_size", "many"],
            "data.batch_size: Expected int. Got value: many",
        ),
        (
            ["--config", TINY, "--trainer.max_epochs", "2.5"],
            "trainer.max_epochs: Expected int. Got value: 2.5",
        ),
        (
            ["--config", TINY, "--data.image_size", "33"],
            "image_size 33 is not divisible by 2**levels = 2",
        ),
        (["--config", TINY, "--data.image_size", "32"], "built for resolution 8, but"),
        (["--config", TINY, "--model", "WaveDuff"], "there is no class WaveDuff"),
        (["--config", TINY, "--model.init_args.foo", "1"], "foo"),
        (["--config", TINY, "--model.init_args.wavelet", "sine"], "no wavelet is called 'sine'"),
        (["--config", TINY, "--model.init_args.r1_every", "0"], "r1_every counts batches"),
        (
            ["--config", TINY, "--data.source", "ImageFolder", "--data.source.path", "nowhere"],
            "nowhere",
        ),
        (["--config", TINY, "--ckpt_path", "nosuch.ckpt"], "nosuch.ckpt"),
        (
            ["--config", TINY, "--trainer.gradient_clip_val", "1"],
            "use model.init_args.gradient_clip_val",
        ),
        (
            ["--config", TINY, "--trainer.accumulate_grad_batches", "2"],
            "use model.init_args.accumulate_grad_batches",
        ),
        (["--config", TINY, "--trainer.limit_train_batches", "1.0"], "the data has no end"),
        ([], "--config"),
    ],
)
def test_bad_input_is_one_sentence(options, sentence, capfd):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *options])
    assert stopped.value.code == 2
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("wavelight: ")]
    assert len(said) == 1
    assert sentence in said[0]
    assert "Traceback" not in said[0]
    assert len(said[0]) < 300


def test_an_earlier_run_is_not_overwritten(capfd):
    fit("--trainer.max_epochs", "1")
    before = Path("run/checkpoints/last.ckpt").read_bytes()
    with pytest.raises(SystemExit) as stopped:
        fit()
    assert stopped.value.code == 2
    assert "continue that one with --ckpt_path last" in capfd.readouterr().err
    assert Path("run/checkpoints/last.ckpt").read_bytes() == before


def test_a_continued_run_appends_to_its_numbers():
    fit("--trainer.max_epochs", "1")
    fit("--ckpt_path", "last")
    rows = rows_of(Path("run/metrics.csv"))
    assert [float(row["images_seen"]) for row in rows] == [8, 16, 24, 32, 40, 48]


def test_values_that_differ_from_the_checkpoints_win_and_are_named(caplog):
    fit("--trainer.max_epochs", "1")
    with caplog.at_level("INFO"):
        fit("--ckpt_path", "last", "--model.init_args.r1_gamma", "0.5")
    said = [
        record.getMessage() for record in caplog.records if "trained with" in record.getMessage()
    ]
    assert said == ["model.init_args.r1_gamma is 0.5, but the checkpoint was trained with 0.1"]


def test_sampling_needs_a_checkpoint_alone(trained):
    images = wavelight.load(trained).sample(3, seed=5)
    assert images.shape == (3, 3, 16, 16)
    assert torch.equal(wavelight.load(trained).sample(3, seed=5), images)
    raw = wavelight.load(trained, averaged=False).sample(3, seed=5)
    assert not torch.equal(raw, images)


def test_sample_and_predict_draw_the_same_files(trained):
    options = ["--images", "5", "--seed", "5", "--batch_size", "2"]
    main(["sample", str(trained), "one", *options])
    main(["predict", "--config", TINY, "--ckpt_path", str(trained), "--out", "two", *options])
    names = [f"{number:06d}.png" for number in range(5)]
    assert sorted(path.name for path in Path("one").glob("*.png")) == names
    for name in names:
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


@pytest.mark.slow
def test_compiled_sampling_draws_the_same_images(trained):
    options = ["--images", "5", "--seed", "5", "--batch_size", "2", "--npz", "true"]
    main(["sample", str(trained), "eager", *options])
    main(["sample", str(trained), "fast", *options, "--compiled", "true"])
    eager, fast = (
        np.load(Path(folder, "images.npz"))["arr_0"].astype(int) for folder in ("eager", "fast")
    )
    assert eager.shape == fast.shape == (5, 16, 16, 3)
    assert abs(eager - fast).max() <= 1


def test_export_holds_the_generator_and_draws_alike(trained):
    from safetensors.torch import load_file

    main(["export", str(trained), "generator.safetensors"])
    system = wavelight.load(trained)
    exported = load_file("generator.safetensors")
    generator = system.models[0].generator
    assert exported.keys() == generator.state_dict().keys()
    generator.load_state_dict(exported)
    again = wavelight.load("generator.safetensors").sample(2, seed=1)
    assert torch.equal(again, system.sample(2, seed=1))


def test_an_experiment_is_found_from_any_folder(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--config", "experiments/demo.yaml", "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["default_root_dir"] == "runs/demo"


@pytest.mark.parametrize(
    "options",
    [
        ["--model.details", "experiments/details/linear_gaussian.yaml"],
        ["--model.details=experiments/details/linear_gaussian.yaml"],
    ],
)
def test_parts_of_experiments_are_found_from_any_folder(options, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--config=experiments/demo_hybrid.yaml", *options, "--print_config"])
    details = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["details"]
    assert {part["class_path"] for part in details} == {"wavelight.models.LinearGaussian"}


@pytest.mark.parametrize(
    "word",
    [
        "experiments",
        "experiments/nosuch.yaml",
        "experiments/details",
        "experiments/details/nosuch.yaml",
        "elsewhere/demo.yaml",
        "demo.yaml",
        "[0]",
    ],
)
def test_other_words_stay_as_they_are(word):
    assert find_experiment(word) == word


def test_a_file_of_the_folder_beats_the_one_that_ships():
    name = "experiments/details/flow.yaml"
    shipped = Path(wavelight.__file__).parents[1] / name
    assert find_experiment(name) == str(shipped)
    assert find_experiment(f"somewhere/{name}") == str(shipped)
    own = Path(name)
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_experiment(name) == name


def test_help_lists_the_commands(capsys):
    main(["--help"])
    said = capsys.readouterr().out
    for group, commands in GROUPS.items():
        assert f"\n{group}:\n" in said
        for command in commands:
            assert f"\n  {command} " in said


def test_every_command_has_a_file_and_every_file_a_command():
    files = {path.stem for path in Path(wavelight.commands.__file__).parent.glob("[a-z]*.py")}
    own = {name for name, each in COMMANDS.items() if each.module == f"wavelight.commands.{name}"}
    assert files == own


@pytest.mark.parametrize("command", [name for name, each in COMMANDS.items() if each.function])
def test_functions_are_documented(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert not stopped.value.code
    assert "--" in capsys.readouterr().out


def test_unknown_commands_are_named(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["dance"])
    assert stopped.value.code == 2
    assert "there is no command 'dance'" in capsys.readouterr().err


def test_revision_is_that_of_the_checkout():
    assert git_revision() is None or len(git_revision().removesuffix("-dirty")) == 40
