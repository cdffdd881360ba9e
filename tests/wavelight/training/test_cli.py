import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import EarlyStopping

import wavelight
from tests import places
from wavelight.__main__ import main
from wavelight.commands import COMMANDS, GROUPS
from wavelight.config.experiments import find_experiment
from wavelight.training.cli import CALLBACKS, CLI
from wavelight.training.saved_config import git_revision

TINY = str(places.TINY)
ON_A_CPU = sorted(
    path.name for path in places.EXPERIMENTS.glob("*.yaml") if "one CPU core" in path.read_text()
)


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


@pytest.fixture
def printed(capsys):
    """Returns what ``fit --print_config`` prints with some options."""

    def printed(*options):
        with pytest.raises(SystemExit) as stopped:
            main(["fit", *options, "--print_config"])
        assert not stopped.value.code
        return yaml.safe_load(capsys.readouterr().out)

    return printed


def test_printed_configuration_round_trips(printed):
    first = printed("--config", TINY, "--data.batch_size", "16")
    Path("printed.yaml").write_text(yaml.safe_dump(first))
    assert printed("--config", "printed.yaml") == first
    assert first["data"]["batch_size"] == 16


@pytest.mark.parametrize("name", ON_A_CPU)
def test_the_printed_configuration_of_an_experiment_round_trips(printed, name):
    first = printed("--config", f"experiments/{name}")
    assert first["trainer"]["default_root_dir"] == f"runs/{Path(name).stem}"
    Path("printed.yaml").write_text(yaml.safe_dump(first, sort_keys=False))
    assert printed("--config", "printed.yaml") == first


def test_some_experiments_are_for_a_cpu():
    assert len(ON_A_CPU) >= 10


def test_later_configurations_win(printed):
    Path("more.yaml").write_text("data: {batch_size: 4}\nmodel: {init_args: {steps: 3}}\n")
    config = printed("--config", TINY, "--config", "more.yaml")
    assert config["data"]["batch_size"] == 4
    assert config["model"]["init_args"]["steps"] == 3
    assert config["model"]["init_args"]["r1_every"] == 3


@pytest.mark.parametrize("option", [["--config", "own.yaml"], ["--config=own.yaml"]])
def test_a_configuration_builds_on_its_bases(printed, option):
    Path("parts").mkdir()
    Path("parts/few.yaml").write_text("data: {batch_size: 4, eval_batch_size: 2}\n")
    Path("own.yaml").write_text(
        f"base: [{TINY}, parts/few.yaml]\ndata: {{batch_size: 6}}\nmodel: {{init_args: {{steps: 3}}}}\n"
    )
    config = printed(*option)
    assert "base" not in config
    # The file wins over what it builds on, and a later base over an earlier one.
    assert config["data"]["batch_size"] == 6
    assert config["data"]["eval_batch_size"] == 2
    assert config["model"]["init_args"]["steps"] == 3
    assert config["model"]["init_args"]["r1_every"] == 3
    assert config["trainer"]["default_root_dir"] == "runs/own"
    Path("printed.yaml").write_text(yaml.safe_dump(config))
    assert printed("--config", "printed.yaml") == config
    assert printed(*option, "--data.batch_size", "8")["data"]["batch_size"] == 8


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("base: gone.yaml\n", "base of own.yaml must name files beside it, got gone.yaml"),
        ("base: own.yaml\n", "must not lead back to the file itself, got own.yaml"),
        ("base: {a: 1}\n", "base of own.yaml must be a file or a list of files, got {'a': 1}"),
        ("data: [\n", "own.yaml must be YAML: "),
    ],
)
def test_a_base_that_cannot_be_is_one_sentence(text, sentence, capsys):
    Path("own.yaml").write_text(text)
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--config", "own.yaml"])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--data.batch-size", "4", "--seed-everything", "5", "--model.r1-every", "7"],
        ["--data.batch-size=4", "--seed-everything=5", "--model.init-args.r1-every=7"],
        ["--data.batch_size", "4", "--seed_everything", "5", "--model.r1_every", "7"],
    ],
)
def test_options_are_written_with_dashes_or_underscores(printed, options):
    config = printed("--config", TINY, *options)
    assert config["data"]["batch_size"] == 4
    assert config["seed_everything"] == 5
    assert config["model"]["init_args"]["r1_every"] == 7


def test_a_run_has_a_folder_of_its_own(printed):
    folder = "default_root_dir"
    assert printed("--config", TINY)["trainer"][folder] == "runs/tiny"
    Path("more.yaml").write_text("data: {batch_size: 4}\n")
    two = ["--config", TINY, "--config=more.yaml"]
    assert printed(*two)["trainer"][folder] == "runs/tiny"
    assert printed(*two, "--trainer.default-root-dir", "a-b")["trainer"][folder] == "a-b"
    Path("more.yaml").write_text("trainer: {default_root_dir: elsewhere}\n")
    assert printed(*two)["trainer"][folder] == "elsewhere"


def test_callbacks_have_names(printed):
    Path("more.yaml").write_text("ema: {decay: 0.5}\npictures: {every_n_epochs: 3}\n")
    options = ["--config", TINY, "--config", "more.yaml", "--last.every-n-batches", "7"]
    config = printed(*options)
    # These have no options.
    assert config.keys() >= CALLBACKS.keys() - {"speed", "rates"}
    assert config["ema"] == {"decay": 0.5, "relative_width": None}
    # Of the first file, which the second says nothing about.
    assert config["pictures"]["images"] == 0
    assert config["pictures"]["every_n_epochs"] == 3
    assert config["last"] == {"every_n_batches": 7}


def test_callbacks_that_a_user_adds_come_beside_those_of_every_run():
    Path("more.yaml").write_text(
        "trainer:\n  callbacks+:\n    - class_path: EarlyStopping\n      init_args: {monitor: val/fwd}\n"
    )
    cli = CLI("fit", ["--config", TINY, "--config", "more.yaml", "--ema.decay", "0.5"])
    kinds = [type(callback) for callback in cli.trainer.callbacks]
    assert EarlyStopping in kinds
    assert all(kinds.count(kind) == 1 for kind in CALLBACKS.values())
    ema = cli.trainer.callbacks[kinds.index(CALLBACKS["ema"])]
    assert ema.decay == 0.5
    # Averaged weights are what is drawn, measured and kept.
    order = [kinds.index(CALLBACKS[name]) for name in ("ema", "pictures", "evaluation", "best")]
    assert order == sorted(order)


def test_without_validation_no_real_images_are_measured(trained):
    assert not list(trained.parent.parent.rglob("real-*.pt"))
    assert "val/fwd" not in " ".join(rows_of(trained.parent.parent / "metrics.csv")[0])


def test_networks_are_built_for_the_size_and_the_channels_of_the_data():
    options = ["--config", TINY, "--data.image_size", "32", "--data.channels", "1"]
    cli = CLI("fit", options)
    assert cli.model.channels == cli.datamodule.channels == 1
    assert cli.model.target_shapes == [(4, 16, 16)]
    assert cli.model.sample(2, seed=0).shape == (2, 1, 32, 32)


def test_grey_images_are_learnt():
    fit("--data.channels", "1", "--trainer.max_epochs", "1")
    images = wavelight.load("run/checkpoints/last.ckpt").sample(2, seed=0)
    assert images.shape == (2, 1, 16, 16)


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
            "image_size must be divisible by 2**levels = 2, got 33",
        ),
        (
            ["--config", TINY, "--data.channels", "5"],
            "channels must be 3, as Scenes has, or 1 for colours made grey, got 5",
        ),
        (["--config", TINY, "--model", "WaveDuff"], "there is no class WaveDuff"),
        (["--config", TINY, "--model.init_args.foo", "1"], "foo"),
        (["--config", TINY, "--model.init_args.wavelet", "sine"], "there is no wavelet 'sine'"),
        (
            ["--config", TINY, "--model.init_args.r1_every", "0"],
            "r1_every must be at least 1, got 0",
        ),
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
        (
            ["--config", TINY, "--trainer.sync_batchnorm", "true"],
            "trainer.sync_batchnorm must be false, got true",
        ),
        (
            ["--config", TINY, "--trainer.limit_train_batches", "1.0"],
            "trainer.limit_train_batches must be the number of batches in an epoch",
        ),
        (["--config", TINY, "--ema.decay", "2"], "decay must be at least 0 and below 1, got 2.0"),
        (["--config", TINY, "--ema.pace", "2"], "--ema.pace"),
        (
            ["--config", TINY, "--trainer.callbacks.decay", "0.5"],
            "--trainer.callbacks.decay must name a callback, which are options of their own: --speed, --rates,",
        ),
        (
            ["--config", TINY, "--trainer.callbacks.init-args.decay=0.5"],
            "--trainer.callbacks.init_args.decay must name a callback",
        ),
        (
            ["--config=experiments/phi4_wsgm.yaml", "--model.details.init_args.steps=4"],
            "--model.details.init_args.steps must not point inside a list, got model.details, a list of",
        ),
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
    assert "continue that run with --ckpt_path last" in capfd.readouterr().err
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
    raw = wavelight.load(trained, ema=False).sample(3, seed=5)
    assert not torch.equal(raw, images)


def test_sample_and_predict_draw_the_same_files(trained):
    options = ["--images", "5", "--seed", "5", "--batch_size", "2"]
    main(["sample", str(trained), "--out", "one", *options])
    main(["predict", "--config", TINY, "--ckpt_path", str(trained), "--out", "two", *options])
    names = [f"{number:06d}.png" for number in range(5)]
    assert sorted(path.name for path in Path("one").glob("*.png")) == names
    for name in names:
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


@pytest.mark.slow
def test_compiled_sampling_draws_the_same_images(trained):
    options = ["--images", "5", "--seed", "5", "--batch_size", "2", "--npz", "true"]
    main(["sample", str(trained), "--out", "eager", *options])
    main(["sample", str(trained), "--out", "fast", *options, "--compiled", "true"])
    eager, fast = (
        np.load(Path(folder, "images.npz"))["arr_0"].astype(int) for folder in ("eager", "fast")
    )
    assert eager.shape == fast.shape == (5, 16, 16, 3)
    assert abs(eager - fast).max() <= 1


def test_export_holds_the_generator_and_draws_alike(trained):
    from safetensors.torch import load_file

    main(["export", str(trained), "--out", "generator.safetensors"])
    system = wavelight.load(trained)
    exported = load_file("generator.safetensors")
    generator = system.models[0].generator
    assert exported.keys() == generator.state_dict().keys()
    generator.load_state_dict(exported)
    again = wavelight.load("generator.safetensors").sample(2, seed=1)
    assert torch.equal(again, system.sample(2, seed=1))


def test_an_experiment_is_found_from_any_folder(printed):
    config = printed("--config", "experiments/demo.yaml")
    assert config["trainer"]["default_root_dir"] == "runs/demo"


@pytest.mark.parametrize(
    "options",
    [
        ["--model.details", "experiments/models/linear_gaussian.yaml"],
        ["--model.details=experiments/models/linear_gaussian.yaml"],
    ],
)
def test_parts_of_experiments_are_found_from_any_folder(options, printed):
    config = printed("--config=experiments/demo_hybrid.yaml", *options)
    details = config["model"]["init_args"]["details"]
    assert details["class_path"] == "wavelight.models.LinearGaussian"


@pytest.mark.parametrize(
    "options",
    [
        ["--model.details.steps", "4"],
        ["--model.details.init_args.steps=4"],
        ["--model.init_args.details.init_args.steps", "4"],
        ["--model.details", "experiments/models/edm.yaml", "--model.details.steps", "4"],
    ],
)
@pytest.mark.parametrize("experiment", ["demo_wsgm", "demo_hybrid"])
def test_an_option_changes_one_model_of_all_levels(experiment, options, printed):
    flow = ["--model.details=experiments/models/flow.yaml"] * (experiment == "demo_hybrid")
    config = printed(f"--config=experiments/{experiment}.yaml", *flow, *options)
    # A list of one stands for one model of all levels.
    (details,) = config["model"]["init_args"]["details"]
    assert details["class_path"] == "wavelight.models.ScoreModel"
    assert details["init_args"]["steps"] == 4
    assert details["init_args"]["network"]["class_path"] == "wavelight.networks.ImprovedUNet"


def test_an_option_changes_the_only_entry_of_a_list(printed):
    config = printed(f"--config={TINY}", "--evaluation.metrics.packet_side", "4")
    assert [metric["init_args"]["packet_side"] for metric in config["evaluation"]["metrics"]] == [4]


@pytest.mark.parametrize(
    "word",
    [
        "experiments",
        "experiments/nosuch.yaml",
        "experiments/models",
        "experiments/models/nosuch.yaml",
        "elsewhere/demo.yaml",
        "demo.yaml",
        "[0]",
    ],
)
def test_other_words_stay_as_they_are(word):
    assert find_experiment(word) == word


def test_a_file_of_the_folder_beats_the_one_that_ships():
    name = "experiments/models/flow.yaml"
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
