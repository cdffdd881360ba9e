"""A checkpoint is measured and sampled without a YAML: by what it holds, unless something beside it says otherwise."""

import csv
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml

from tests import payloads as kinds
from tests.places import TINY
from wavelight.__main__ import main
from wavelight.config.known_classes import EXTENSIONS
from wavelight.systems.base import CONFIG_KEY
from wavelight.training.cli import CLI
from wavelight.training.stored_options import folder_of_run
from wavelight.weights import read_checkpoint

FEW = [
    "--data.val_images=8",
    "--data.test_images=12",
    "--data.source.images=64",
    "--evaluation.reference_images=32",
]
METRIC = {"class_path": "wavelight.metrics.FrechetWaveletDistance", "init_args": {"packet_side": 4}}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])
    for name in ("WANDB_SWEEP_ID", EXTENSIONS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The checkpoint of a run of another folder, whose evaluation and EMA are not those of the defaults."""
    root = tmp_path_factory.mktemp("trained")
    Path(root, "more.yaml").write_text(yaml.safe_dump({"evaluation": {"metrics": [METRIC]}}))
    files = ["--config", str(TINY), "--config", str(root / "more.yaml")]
    folder = ["--trainer.default_root_dir", str(root / "run")]
    main(["fit", *files, *FEW, *folder, "--trainer.max_epochs=1", "--seed_everything=5"])
    return root / "run" / "checkpoints" / "last.ckpt"


@pytest.fixture
def refused(capsys):
    def refused(*words):
        with pytest.raises(SystemExit) as stopped:
            main([*words])
        assert stopped.value.code == 2
        said = capsys.readouterr().err.splitlines()
        (sentence,) = [line for line in said if line.startswith("wavelight: ")]
        return sentence

    return refused


def options(*words, method="test"):
    return CLI(method, [*words]).config


def changed(checkpoint, **sections):
    """Write a copy of a checkpoint with other sections in its configuration."""
    content = read_checkpoint(checkpoint)
    content[CONFIG_KEY] = yaml.safe_dump(yaml.safe_load(content[CONFIG_KEY]) | sections)
    torch.save(content, "changed.ckpt")
    return Path("changed.ckpt")


def rows_of(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("method", ["validate", "test"])
def test_numbers_are_those_of_the_yaml_bit_for_bit(trained, method):
    folder = trained.parents[1]
    prefix = {"validate": "val/fwd8", "test": "test/fwd12"}[method]
    main([method, "--ckpt_path", str(trained)])
    alone = rows_of(folder)[-1][prefix]
    files = ["--config", str(TINY), "--config", str(folder.parent / "more.yaml")]
    main([method, *files, *FEW, "--seed_everything=5", "--ckpt_path", str(trained)])
    assert rows_of(folder)[-1][prefix] == alone
    assert len(alone) > 6
    assert not Path("runs").exists()


def test_sampled_images_are_those_of_the_yaml(trained):
    words = ["predict", "--ckpt_path", str(trained), "--images", "3", "--batch_size", "2"]
    main([*words, "--out", "one"])
    main([*words, "--out", "two", "--config", str(TINY)])
    names = sorted(path.name for path in Path("one").glob("*.png"))
    assert len(names) == 3
    for name in names:
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


def test_what_decides_numbers_is_taken_and_what_belongs_to_a_place_is_not(trained):
    stored = yaml.safe_load(read_checkpoint(trained)[CONFIG_KEY])
    logger = {"class_path": "wavelight.loggers.WandbLogger"}
    logger["init_args"] = {
        "id": "abc",
        "save_dir": "/elsewhere",
        "project": "mine",
        "offline": True,
    }
    trainer = stored["trainer"] | {
        "precision": "bf16-mixed",
        "devices": 8,
        "num_nodes": 2,
        "default_root_dir": "/elsewhere",
        "logger": [logger],
    }
    path = changed(trained, trainer=trainer, acceleration={"tensor_float_32": True})
    config = options("--ckpt_path", str(path), "--trainer.accelerator=cpu")
    assert config.seed_everything == config.model.init_args.seed == config.data.seed == 5
    assert config.ema.decay == 0.9
    assert config.evaluation.metrics[0].init_args.packet_side == 4
    assert config.acceleration.tensor_float_32 is True
    assert config.trainer.precision == "bf16-mixed"
    assert (config.trainer.devices, config.trainer.num_nodes) == ("auto", 1)
    assert config.trainer.default_root_dir == str(folder_of_run(path))
    assert Path(config.trainer.default_root_dir).parent == Path("runs")
    (kept,) = config.trainer.logger
    assert (kept.init_args.project, kept.init_args.id) == ("mine", None)
    assert kept.init_args.save_dir == config.trainer.default_root_dir


def test_loggers_of_others_get_nothing_from_a_stored_configuration(trained):
    """Their options name servers, which would be sent the user's key, and folders."""
    stored = yaml.safe_load(read_checkpoint(trained)[CONFIG_KEY])
    theirs = "lightning.pytorch.loggers"
    loggers = [
        {
            "class_path": f"{theirs}.WandbLogger",
            "init_args": {"settings": {"base_url": "http://127.0.0.1:1"}, "save_dir": "/elsewhere"},
        },
        {"class_path": f"{theirs}.CSVLogger", "init_args": {"save_dir": "/elsewhere"}},
        {
            "class_path": "wavelight.loggers.WandbLogger",
            "init_args": {"entity": "somebody", "group": "g", "save_dir": "/elsewhere"},
            "dict_kwargs": {"settings": {"base_url": "http://127.0.0.1:1"}},
        },
    ]
    path = changed(trained, trainer=stored["trainer"] | {"logger": loggers})
    (kept,) = options("--ckpt_path", str(path)).trainer.logger
    assert kept.class_path == "wavelight.loggers.WandbLogger"
    assert kept.init_args.group == "g"
    assert kept.init_args.entity is None
    assert "dict_kwargs" not in kept
    path = changed(trained, trainer=stored["trainer"] | {"logger": loggers[:2]})
    (kept,) = options("--ckpt_path", str(path)).trainer.logger
    assert kept.class_path == "wavelight.loggers.CSVLogger"


def test_files_of_one_name_have_folders_of_their_own(tmp_path):
    one, other = (folder_of_run(tmp_path / name / "last.ckpt") for name in ("a", "b"))
    assert one != other
    assert one.name.startswith("last-")


def test_options_and_files_beside_it_beat_what_it_holds(trained):
    Path("more.yaml").write_text(
        yaml.safe_dump({"data": {"test_images": 4}, "ema": {"decay": 0.5}})
    )
    words = ["--ckpt_path", str(trained), "--config", "more.yaml", "--seed_everything=9"]
    config = options(*words, "--ema.decay=0.4", "--model.steps=3")
    assert config.data.test_images == 4
    assert config.data.val_images == 8
    assert config.ema.decay == 0.4
    assert config.model.init_args.steps == 3
    assert config.model.init_args.seed == config.data.seed == 9


def test_a_file_with_a_model_is_a_configuration_of_its_own(trained):
    config = options("--ckpt_path", str(trained), "--config", str(TINY))
    assert config.seed_everything == 3
    assert config.data.test_images == 50_000
    assert config.trainer.default_root_dir == str(trained.parents[1])


def test_training_takes_no_configuration_from_a_checkpoint(trained, refused):
    assert "data.image_size" in refused("fit", "--ckpt_path", str(trained))


@pytest.mark.parametrize("word", ["last", "best"])
def test_a_word_names_a_checkpoint_of_the_folder(refused, word):
    assert "data.image_size" in refused("test", "--ckpt_path", word)


@pytest.mark.parametrize("method", ["validate", "test", "predict"])
def test_files_that_cannot_be_measured_are_told_in_one_sentence(trained, refused, method):
    assert "there is no checkpoint x.ckpt" in refused(method, "--ckpt_path", "x.ckpt")
    content = read_checkpoint(trained)
    torch.save({**content, CONFIG_KEY: ""}, "bare.ckpt")
    said = refused(method, "--ckpt_path", "bare.ckpt")
    assert "bare.ckpt holds no configuration" in said
    assert "--config" in said
    torch.save({**content, CONFIG_KEY: "model: ["}, "cut.ckpt")
    assert "the configuration in cut.ckpt must be YAML" in refused(method, "--ckpt_path=cut.ckpt")
    Path("damaged.ckpt").write_bytes(trained.read_bytes()[:-2000])
    assert "damaged.ckpt cannot be read" in refused(method, "--ckpt_path", "damaged.ckpt")
    main(["export", str(trained), "--out", "g.safetensors"])
    assert "g.safetensors, which holds networks alone" in refused(
        method, "--ckpt_path", "g.safetensors"
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_nothing_that_a_checkpoint_names_is_run(trained, payloads, refused, kind):
    stored = yaml.safe_load(read_checkpoint(trained)[CONFIG_KEY])
    places = [
        ("model", "init_args", "generator_optimizer"),
        ("model", "init_args", "scheduler"),
        ("data", "source"),
        ("evaluation", "metrics"),
    ]
    for place in places:
        config = kinds.with_value(stored, place, payloads[kind])
        path = changed(trained, **config)
        said = refused("test", "--ckpt_path", str(path))
        assert not payloads.ran
        assert len(said) < 500


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_logger_that_a_checkpoint_names_is_not_run(trained, payloads, kind):
    stored = yaml.safe_load(read_checkpoint(trained)[CONFIG_KEY])
    config = kinds.with_value(stored, ("trainer", "logger"), payloads[kind])
    path = changed(trained, **config)
    # Refused by its class, or left out.
    with suppress(SystemExit):
        main(["test", "--ckpt_path", str(path)])
    assert not payloads.ran


def test_a_class_from_elsewhere_is_taken_where_the_file_is_trusted(trained, monkeypatch, refused):
    Path("my_optimizers.py").write_text("import torch\nclass Mine(torch.optim.SGD):\n    pass\n")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    monkeypatch.delitem(sys.modules, "my_optimizers", raising=False)
    model = yaml.safe_load(read_checkpoint(trained)[CONFIG_KEY])["model"]
    model["init_args"]["generator_optimizer"] = {
        "class_path": "my_optimizers.Mine",
        "init_args": {"lr": 0.1},
    }
    words = ["--ckpt_path", str(changed(trained, model=model))]
    said = refused("test", *words)
    assert "model.generator_optimizer of changed.ckpt must be a class of" in said
    assert "--trust_code" in said
    for trust in (["--trust_code"], ["--trust_code", "true"], ["--trust_code=true"]):
        assert (
            options(*words, *trust).model.init_args.generator_optimizer.class_path
            == "my_optimizers.Mine"
        )
    assert "must be a class of" in refused("test", *words, "--trust_code", "false")
    monkeypatch.setenv(EXTENSIONS, "my_optimizers")
    options(*words)


def test_shards_that_a_command_fetches_are_refused(trained, payloads, refused):
    data = yaml.safe_load(read_checkpoint(trained)[CONFIG_KEY])["data"]
    data["source"] = {
        "class_path": "data_modules.ShardStream",
        "init_args": {"urls": f"pipe:touch {payloads.mark}"},
    }
    said = refused("test", "--ckpt_path", str(changed(trained, data=data)))
    assert "data.source.urls of changed.ckpt" in said
    assert not payloads.ran
