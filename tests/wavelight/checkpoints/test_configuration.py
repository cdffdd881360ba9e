"""Opening somebody's checkpoint runs nothing: neither what it names nor modules that it would have imported."""

import sys
from pathlib import Path

import pytest
import torch
import yaml

import wavelight
from tests import checkpoints
from tests.payloads import KINDS, checkpoint, with_value
from wavelight.__main__ import main
from wavelight.checkpoints.configuration import config_text, stored_config
from wavelight.config.known_classes import EXTENSIONS
from wavelight.systems.base import CONFIG_KEY
from wavelight.weights import read_safetensors

OPTIONS = {
    "system": ("wavediff", ["model"]),
    "optimizer": ("wavediff", ["model", "init_args", "generator_optimizer"]),
    "scheduler": ("wavediff", ["model", "init_args", "scheduler"]),
    "network": ("wavediff", ["model", "init_args", "generator"]),
    "scaling": ("wavediff", ["model", "init_args", "scaling"]),
    "wavelet": ("wavediff", ["model", "init_args", "wavelet"]),
    "keywords": ("wavediff", ["model", "dict_kwargs"]),
    "network of a model": ("wsgm", ["model", "init_args", "coarse", "init_args", "network"]),
    "sampler": ("wsgm", ["model", "init_args", "coarse", "init_args", "sampler"]),
    "schedule": ("wsgm", ["model", "init_args", "coarse", "init_args", "schedule"]),
    "model in a list": ("wsgm", ["model", "init_args", "details", 0]),
}


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    systems = {"wavediff": checkpoints.wavediff(), "wsgm": checkpoints.wsgm()}
    section = checkpoints.data(folder)
    return {
        name: yaml.safe_load(
            config_text(checkpoints.written(folder / f"{name}.ckpt", system, section))
        )
        for name, system in systems.items()
    }


@pytest.fixture
def trained(tmp_path):
    return checkpoints.written(
        tmp_path / "own.ckpt", checkpoints.wsgm(), checkpoints.data(tmp_path)
    )


def fitting(kind, option, value):
    """Put a text into keywords as a value of one, as they must be a mapping."""
    return {"keyword": value} if option == "keywords" else value


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_a_checkpoint_names_runs(tmp_path, configs, payloads, kind, option):
    system, keys = OPTIONS[option]
    config = with_value(configs[system], keys, fitting(kind, option, payloads[kind]))
    path = checkpoint(tmp_path / "theirs.ckpt", config)
    # A text where none is imported is a value like others, and refused by whoever takes it, or left out.
    harmless = (option in ("scheduler", "keywords", "wavelet") or kind == "lambda") and isinstance(
        payloads[kind], str
    )
    said = "." if harmless else "must be a class of wavelight|must have a section `model`"
    with pytest.raises(ValueError, match=said):
        wavelight.load(path)
    assert not payloads.ran


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_payloads_would_run(tmp_path, configs, payloads):
    config = with_value(configs["wavediff"], ["model", "init_args", "generator"], payloads["shell"])
    with pytest.raises(ValueError, match="cannot be built"):
        wavelight.load(checkpoint(tmp_path / "theirs.ckpt", config), trust_code=True)
    assert payloads.ran


def test_the_refusal_names_file_option_class_and_what_to_do(tmp_path, configs, payloads):
    config = with_value(
        configs["wavediff"], ["model", "init_args", "generator_optimizer"], payloads["shell"]
    )
    path = checkpoint(tmp_path / "theirs.ckpt", config)
    with pytest.raises(ValueError, match="must be a class") as refused:
        wavelight.load(path)
    said = str(refused.value)
    assert all(
        part in said
        for part in (
            str(path),
            "model.generator_optimizer",
            "'os.system'",
            "--trust_code",
            EXTENSIONS,
        )
    )
    assert "\n" not in said


def test_names_are_written_so_that_no_terminal_obeys_them(tmp_path, configs):
    config = with_value(configs["wavediff"], ["model", "class_path"], "os\x1b[2J.system\n")
    with pytest.raises(ValueError, match="must be a class") as refused:
        wavelight.load(checkpoint(tmp_path / "theirs.ckpt", config))
    assert "\x1b" not in str(refused.value)
    assert "\n" not in str(refused.value)


COMMANDS = {
    "sample": ["--out", "generated"],
    "export": ["--out", "networks.safetensors"],
    "compare": ["--images", "2"],
    "details": [],
    "join": ["--out", "whole.ckpt"],
    "time": [],
    "upscale": ["picture.png", "--out", "large.png"],
    "upscaling_quality": [],
}


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_what_a_checkpoint_names(
    tmp_path,
    configs,
    payloads,
    monkeypatch,
    capsys,
    command,
    suffix,
):
    if (command, suffix) == ("join", ".safetensors"):
        suffix = ".ckpt"
    monkeypatch.chdir(tmp_path)
    Path("picture.png").touch()
    config = with_value(
        configs["wsgm"], ["model", "init_args", "coarse", "init_args", "network"], payloads["shell"]
    )
    path = checkpoint(tmp_path / f"theirs{suffix}", config)
    with pytest.raises(SystemExit) as stopped:
        main([command, str(path), *COMMANDS[command]])
    assert stopped.value.code == 2
    assert "--trust_code" in capsys.readouterr().err
    assert not payloads.ran


def test_the_one_among_several_that_would_run_is_named(tmp_path, configs, payloads, capsys):
    clean = [checkpoint(tmp_path / f"{name}.ckpt", configs["wsgm"]) for name in "ab"]
    config = with_value(
        configs["wsgm"], ["data", "source"], {"class_path": "payload_package.Anything"}
    )
    theirs = checkpoint(tmp_path / "theirs.ckpt", config)
    for command in ("compare", "details"):
        with pytest.raises(SystemExit):
            main([command, *map(str, clean), str(theirs)])
        assert f"data.source of {theirs}" in capsys.readouterr().err
    assert not payloads.ran


@pytest.mark.parametrize(
    "urls",
    [
        "pipe:touch {mark}",
        "PIPE:touch {mark}",
        ["a.tar", "pipe:touch {mark}"],
        "{{x,p}}ipe:touch {mark}",
        "a.tar::pipe:touch {mark}",
        "https://host/a.tar?${{TOKEN}}",
        "https://host/{{a,b}}.tar::{{p,q}}ipe:touch {mark}",
    ],
)
def test_shards_are_fetched_by_no_command_of_a_checkpoint(
    tmp_path, configs, payloads, capsys, urls
):
    urls = [url.format(mark=payloads.mark) for url in [urls] if isinstance(url, str)] or [
        url.format(mark=payloads.mark) for url in urls
    ]
    source = {"class_path": "data_modules.ShardStream", "init_args": {"urls": urls}}
    config = with_value(configs["wsgm"], ["data", "source"], source)
    config["data"]["held_out"] = 0
    with pytest.raises(SystemExit):
        main(["compare", str(checkpoint(tmp_path / "theirs.ckpt", config)), "--images", "2"])
    assert "data.source.urls of" in capsys.readouterr().err
    assert not payloads.ran


def test_files_that_a_checkpoint_names_are_not_read(tmp_path, configs, payloads):
    file = tmp_path / "network.yaml"
    file.write_text(yaml.safe_dump(payloads["a function of ours"]))
    config = with_value(configs["wavediff"], ["model", "init_args", "generator"], str(file))
    with pytest.raises(ValueError, match="cannot be used"):
        wavelight.load(checkpoint(tmp_path / "theirs.ckpt", config))
    assert not payloads.ran


OTHER_OPTIMIZER = """
import torch
class Wheel(torch.optim.SGD): ...
"""


def test_extensions_are_loaded_by_one_word(tmp_path, monkeypatch, trained):
    (tmp_path / "my_optimizers.py").write_text(OTHER_OPTIMIZER)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = with_value(
        stored_config(trained),
        ["model", "init_args", "coarse", "init_args", "network"],
        {"class_path": "my_networks.Mine"},
    )
    (tmp_path / "my_networks.py").write_text(
        "import os\nfrom torch import nn\n"
        "class Mine(nn.Conv2d):\n"
        "    def __init__(self, shape):\n"
        "        super().__init__(shape.channels, shape.channels, 1)\n"
    )
    path = checkpoint(tmp_path / "mine.ckpt", config)
    with pytest.raises(ValueError, match=r"my_networks\.Mine"):
        wavelight.load(path)
    assert "my_networks" not in sys.modules
    # The weights are missing, which is said after the system is there.
    monkeypatch.setenv(EXTENSIONS, "my_data,my_networks")
    with pytest.raises(ValueError, match="do not fit the model"):
        wavelight.load(path)
    monkeypatch.delenv(EXTENSIONS)
    with pytest.raises(ValueError, match="do not fit the model"):
        wavelight.load(path, trust_code=True)
    config["model"]["init_args"]["coarse"]["init_args"]["network"]["class_path"] = (
        "my_networks.os.system"
    )
    monkeypatch.setenv(EXTENSIONS, "my_networks")
    with pytest.raises(ValueError, match="must be a class of wavelight"):
        wavelight.load(checkpoint(path, config))


def test_the_word_may_stand_without_a_value(tmp_path, configs, payloads, capsys):
    config = with_value(
        configs["wsgm"], ["model", "init_args", "scaling"], {"class_path": "collections.Counter"}
    )
    path = str(checkpoint(tmp_path / "theirs.ckpt", config))
    for words in (["--trust_code", path], [path, "--trust-code"], [path, "--trust_code", "true"]):
        with pytest.raises(SystemExit):
            main(["export", "--out", str(tmp_path / "x.safetensors"), *words])
        said = capsys.readouterr().err
        assert "--trust_code" not in said
        assert "cannot be used" in said


def test_sampling_needs_no_optimizer(tmp_path, monkeypatch, trained):
    config = stored_config(trained)
    images = wavelight.load(trained).sample(2, seed=1)
    for model in (config["model"]["init_args"]["coarse"], *config["model"]["init_args"]["details"]):
        model["init_args"]["optimizer"] = {"class_path": "no_such_package.Lion"}
    whole = torch.load(trained, weights_only=True)
    torch.save(whole | {CONFIG_KEY: yaml.safe_dump(config)}, tmp_path / "lion.ckpt")
    system = wavelight.load(tmp_path / "lion.ckpt", trust_code=True)
    assert torch.equal(system.sample(2, seed=1), images)
    with pytest.raises(ValueError, match="samples and has no optimizers"):
        system.configure_optimizers()


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2",
        "- 1",
        "x",
        "model:",
        "model: 3",
        "model: {class_path: [1]}",
        "model: {class_path: wavelight.systems.WSGM, init_args: [1]}",
        "model: {class_path: wavelight.systems.WSGM, init_args: {levels: .nan}}",
        "model: {class_path: wavelight.systems.None}",
        "model: {class_path: wavelight.systems.}",
        "model: {class_path: wavelight..systems.WSGM}",
        "model: {class_path: wavelight.systems.WSGM, init_args: {? {a: b} : 1}}",
        "model: !!python/object/apply:os.system ['touch x']",
        "model: &a {class_path: *a}",
        "model: &a [*a]",
        "[" * 1000,
        "{a: " * 1000,
        "- a\n" * 300_000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
            for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
        ),
        "a: &a {x: 1}\n"
        + "".join(
            f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n"
            for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
        ),
        "model: 9" + "9" * 5000,
        "model: 2000-99-99",
    ],
)
def test_a_configuration_that_is_none_is_one_sentence(tmp_path, text):
    with pytest.raises(ValueError, match=r"the configuration in|must be a class") as refused:
        wavelight.load(checkpoint(tmp_path / "theirs.ckpt", text))
    assert len(str(refused.value)) < 1000


def test_a_configuration_that_is_no_text_is_one_sentence(tmp_path):
    torch.save({"state_dict": {}, CONFIG_KEY: ["model"]}, tmp_path / "theirs.ckpt")
    with pytest.raises(ValueError, match="must be YAML, got a list"):
        wavelight.load(tmp_path / "theirs.ckpt")


def test_exported_files_keep_the_configuration(tmp_path, trained):
    main(["export", str(trained), "--out", str(tmp_path / "x.safetensors")])
    assert read_safetensors(tmp_path / "x.safetensors")[1]["wavelight_config"] == config_text(
        trained
    )
