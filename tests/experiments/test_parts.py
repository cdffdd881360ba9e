"""Every model of the details and of the coarsest band that ships, and any pyramid, is an option of the small hybrid."""

import shlex
from pathlib import Path

import pytest
import torch
import yaml

from tests.places import EXPERIMENTS
from tests.runs import assert_equal_states
from wavelight.__main__ import main
from wavelight.training.cli import CLI

DETAILS = sorted((EXPERIMENTS / "details").glob("*.yaml"))
COARSE = sorted((EXPERIMENTS / "coarse").glob("*.yaml"))
BASE = ["--config", "experiments/cifar10_small_hybrid.yaml"]
RIVAL = ["--config", "experiments/cifar10_small_wsgm.yaml"]
LAPLACIAN = ["--model.pyramid", "LaplacianPyramid"]

# Few images, of which the statistics of bands are soon taken, and no pictures of them.
TINY = [
    *["--trainer.accelerator", "cpu", "--trainer.callbacks", "[]", "--trainer.logger", "false"],
    *["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"],
    *["--trainer.enable_progress_bar", "false", "--trainer.default_root_dir", "run"],
    *["--data.source", "data_modules.Scenes", "--data.source.images", "8"],
    *["--data.batch_size", "4", "--data.held_out", "0", "--data.val_images", "0"],
]

every_part = pytest.mark.parametrize(
    "path", [*DETAILS, *COARSE], ids=lambda path: f"{path.parent.name}-{path.stem}"
)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def command_of(path):
    """The arguments of the command in a file's first comment, which runs on where a line ends in a backslash."""
    text = path.read_text().replace("\\\n#", "")
    (command,) = (line for line in text.splitlines() if line.startswith("#   python"))
    python, dash, package, method, *arguments = shlex.split(command.removeprefix("#"))
    assert (python, dash, package, method) == ("python", "-m", "wavelight", "fit")
    return arguments


def trained(arguments):
    """The system after two batches of four images."""
    cli = CLI("fit", [*arguments, *TINY])
    cli.run()
    assert cli.model.batches_seen == 2
    return cli.model


def assert_draws(system):
    assert all(parameter.isfinite().all() for parameter in system.parameters())
    images = system.sample(2, seed=5)
    assert images.shape == (2, 3, 32, 32)
    assert images.std() > 0


@every_part
def test_the_first_comment_tells_the_command(path):
    option = f"--model.{path.parent.name}"
    laplacian = LAPLACIAN if path.stem.startswith("laplacian") else []
    name = f"experiments/{path.parent.name}/{path.name}"
    assert command_of(path) == [*BASE, *laplacian, option, name]


@every_part
def test_nothing_of_the_model_that_it_replaces_is_left(path):
    """jsonargparse keeps the arguments that a new value of the same class does not name, so files name them."""
    base = read(EXPERIMENTS / "cifar10_small_hybrid.yaml")["model"]["init_args"]
    assert kept(base[path.parent.name], read(path)) == []


def read(path):
    return yaml.safe_load(path.read_text())


def kept(old, new):
    """The names of the arguments of an old value that stay when it is replaced."""
    if isinstance(old, list) and isinstance(new, list):
        return [name for pair in zip(old, new, strict=False) for name in kept(*pair)]
    if not isinstance(old, dict) or not isinstance(new, dict):
        return []
    if old["class_path"] != new["class_path"]:
        return []
    before, after = (value.get("init_args", {}) for value in (old, new))
    inside = [found for name in before.keys() & after for found in kept(before[name], after[name])]
    return [*(before.keys() - after), *inside]


@pytest.mark.slow
@every_part
def test_it_trains_and_draws(path):
    assert_draws(trained(command_of(path)))


@pytest.mark.slow
def test_another_wavelet_is_one_option():
    system = trained([*BASE, "--model.wavelet", "db2"])
    assert system.factorization.wavelet == "db2"
    assert_draws(system)


def test_the_small_hybrid_has_the_coarse_model_that_ships():
    base = read(EXPERIMENTS / "cifar10_small_hybrid.yaml")["model"]["init_args"]
    assert base["coarse"] == read(EXPERIMENTS / "coarse" / "edm.yaml")


def test_with_diffusion_of_the_details_the_models_are_those_of_the_small_wsgm():
    rival = read(EXPERIMENTS / "cifar10_small_wsgm.yaml")["model"]["init_args"]
    assert rival["coarse"] == read(EXPERIMENTS / "coarse" / "edm.yaml")
    assert rival["details"] == read(EXPERIMENTS / "details" / "diffusion.yaml")


@pytest.mark.slow
def test_with_diffusion_of_the_details_it_is_wsgm():
    """The same weights at first, and after two batches, and the same images: to the bit."""
    diffusion = command_of(EXPERIMENTS / "details" / "diffusion.yaml")
    one, other = (CLI("fit", [*command, *TINY]) for command in (diffusion, RIVAL))
    assert [type(cli.model).__name__ for cli in (one, other)] == ["Hybrid", "WSGM"]
    assert_equal_states(one.model, other.model)
    before = [parameter.clone() for parameter in one.model.parameters()]
    for cli in (one, other):
        cli.run()
    assert_equal_states(one.model, other.model)
    assert not all(map(torch.equal, before, one.model.parameters()))
    assert torch.equal(one.model.sample(1, seed=5), other.model.sample(1, seed=5))


WAVEDIFF = read(EXPERIMENTS / "coarse" / "wavediff.yaml")
REGRESSION, _ = read(EXPERIMENTS / "details" / "regression.yaml")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "given", "sentence"),
    [
        (LAPLACIAN, None, "the generator is built for channels 9, but its factor has channels 3"),
        (
            ["--model.details", "experiments/details/laplacian_regression.yaml"],
            None,
            "the generator is built for channels 3, but its factor has channels 9",
        ),
        (
            [*LAPLACIAN, "--model.details", "experiments/details/linear_gaussian.yaml"],
            None,
            "but its factor has channels 3",
        ),
        (
            [*LAPLACIAN, "--model.wavelet", "db2"],
            None,
            "give either a pyramid or the wavelet 'db2'",
        ),
        (
            ["--model.details", "given.yaml"],
            [WAVEDIFF],
            "a DenoisingGAN cannot be told a condition, which this factor has",
        ),
        (
            ["--model.details", "given.yaml"],
            [REGRESSION] * 3,
            "details names 3 models for 2 levels: give one that all levels share, or one a level",
        ),
        (["--model.details", "[]"], None, "details names 0 models for 2 levels"),
        (
            ["--model.coarse", "given.yaml"],
            REGRESSION,
            "a DetailRegression samples details given a coarse band, which this factor has not",
        ),
        (
            ["--model.coarse", "given.yaml", "--model.coarse.generator.bounded", "true"],
            WAVEDIFF,
            "the generator ends in tanh, but what it samples leaves [-1, 1]",
        ),
        (["--model.details", "experiments/details/nosuch.yaml"], None, "nosuch.yaml"),
    ],
)
def test_parts_that_do_not_go_together_end_in_one_sentence(options, given, sentence, capfd):
    if given is not None:
        Path("given.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(SystemExit) as stopped, torch.device("meta"):
        main(["fit", *BASE, *options, *TINY])
    assert stopped.value.code == 2
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("wavelight: ")]
    assert len(said) == 1
    assert sentence in said[0]
    assert len(said[0]) < 300
