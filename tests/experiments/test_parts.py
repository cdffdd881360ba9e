"""Every model of the details and of the coarsest band that ships, and any pyramid, is an option of the small hybrid."""

import shlex
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch
import yaml

from tests.places import EXPERIMENTS
from tests.runs import assert_equal_states
from wavelight.__main__ import main
from wavelight.training.cli import CLI

MODELS = sorted((EXPERIMENTS / "models").glob("*.yaml"))
BASE = ["--config", str(EXPERIMENTS / "cifar10_small_hybrid.yaml")]
RIVAL = ["--config", str(EXPERIMENTS / "cifar10_small_wsgm.yaml")]
LAPLACIAN = ["--model.pyramid", "LaplacianPyramid"]
OF_DETAILS_ALONE = (
    "linear_gaussian",
    "modern_gan",
    "published_losses",
    "regression",
    "scoring",
)
OF_LL_ALONE = ("wavediff",)
SHOWN_FOR_LL = ("consistency", "distributional", "flow", "mean_flow", "sgm", "wavediff")

# Few images, of which the statistics of bands are soon taken, and no pictures of them.
TINY = [
    *["--trainer.accelerator", "cpu", "--pictures.images", "0", "--trainer.logger", "false"],
    *["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"],
    *["--trainer.enable_progress_bar", "false", "--trainer.default_root_dir", "run"],
    *["--data.source", "data_modules.Scenes", "--data.source.images", "8"],
    *["--data.batch_size", "4", "--data.held_out", "0", "--data.val_images", "0"],
]

every_use = pytest.mark.parametrize(
    ("option", "path"),
    [
        pytest.param(option, path, id=f"{option}-{path.stem}")
        for option, others in (("coarse", OF_DETAILS_ALONE), ("details", OF_LL_ALONE))
        for path in MODELS
        if path.stem not in others
    ],
)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def command_of(path):
    """The arguments of the command in a file's first comment."""
    (command,) = (line for line in path.read_text().splitlines() if line.startswith("#   python"))
    python, dash, package, method, *arguments = shlex.split(command.removeprefix("#"))
    assert (python, dash, package, method) == ("python", "-m", "wavelight", "fit")
    return arguments


def use(option, path):
    return [*BASE, f"--model.{option}", str(path)]


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


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_first_comment_tells_the_command(path):
    config, base, option, file, *_ = command_of(path)
    assert (config, base) == ("--config", "experiments/cifar10_small_hybrid.yaml")
    assert option == ("--model.coarse" if path.stem in SHOWN_FOR_LL else "--model.details")
    assert file == f"experiments/models/{path.name}"


@every_use
def test_nothing_of_the_model_that_it_replaces_is_left(option, path):
    """jsonargparse keeps the arguments that a new value of the same class does not name, so files name them."""
    base = config_of(BASE)[option]
    assert kept(base, read(path), config_of(use(option, path))[option]) == []


def read(path):
    return yaml.safe_load(path.read_text())


def config_of(arguments):
    with torch.device("meta"):
        cli = CLI("fit", [*arguments, *TINY])
    return yaml.safe_load(cli.parser.dump(cli.config, skip_unset=False))["model"]["init_args"]


def kept(old, named, found):
    """The options that a file does not name and that still have the value of the model it replaced, no default."""
    if not isinstance(old, dict) or not isinstance(named, dict) or "class_path" not in named:
        return []
    if old.get("class_path") != named["class_path"]:
        return []
    before, given, after = (value.get("init_args", {}) for value in (old, named, found))
    inside = [
        deeper for name in given for deeper in kept(before.get(name), given[name], after.get(name))
    ]
    defaults = signature(resolve_name(named["class_path"])).parameters
    return [
        name
        for name in after.keys() - given
        if after[name] == before.get(name) and after[name] != defaults[name].default
    ] + inside


@pytest.mark.slow
@every_use
def test_it_trains_and_draws(option, path):
    assert_draws(trained(use(option, path)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [[], ["--model.details", str(EXPERIMENTS / "models/regression.yaml")]]
)
def test_a_laplacian_pyramid_is_one_option(options):
    assert_draws(trained([*BASE, *LAPLACIAN, *options]))


@pytest.mark.slow
def test_another_wavelet_is_one_option():
    system = trained([*BASE, "--model.wavelet", "db2"])
    assert system.factorization.wavelet == "db2"
    assert_draws(system)


def test_the_small_hybrid_and_the_small_wsgm_have_the_models_that_ship():
    edm = config_of(use("coarse", EXPERIMENTS / "models" / "edm.yaml"))["coarse"]
    assert config_of(BASE)["coarse"] == edm
    rival = config_of(RIVAL)
    assert rival["coarse"] == rival["details"] == edm


@pytest.mark.slow
def test_with_diffusion_of_the_details_it_is_wsgm():
    """The same weights at first, and after two batches, and the same images: to the bit."""
    diffusion = use("details", EXPERIMENTS / "models" / "edm.yaml")
    one, other = (
        CLI("fit", [*command, *TINY, "--trainer.default_root_dir", folder])
        for command, folder in ((diffusion, "hybrid"), (RIVAL, "wsgm"))
    )
    assert [type(cli.model).__name__ for cli in (one, other)] == ["Hybrid", "WSGM"]
    assert_equal_states(one.model, other.model)
    before = [parameter.clone() for parameter in one.model.parameters()]
    for cli in (one, other):
        cli.run()
    assert_equal_states(one.model, other.model)
    assert not all(map(torch.equal, before, one.model.parameters()))
    assert torch.equal(one.model.sample(1, seed=5), other.model.sample(1, seed=5))


WAVEDIFF = read(EXPERIMENTS / "models" / "wavediff.yaml")
REGRESSION = read(EXPERIMENTS / "models" / "regression.yaml")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "given", "sentence"),
    [
        (
            [*LAPLACIAN, "--model.wavelet", "db2"],
            None,
            "wavelet must be left out where pyramid is given",
        ),
        (
            ["--model.details", "given.yaml"],
            [WAVEDIFF] * 2,
            "DenoisingGAN is unconditional and cannot model detail bands given LL",
        ),
        (
            ["--model.details", "given.yaml"],
            [REGRESSION] * 3,
            "details must be one model for all levels or a list of one a level, got 3 for levels 2",
        ),
        (["--model.details", "[]"], None, "got 0 for levels 2"),
        (
            ["--model.coarse", "given.yaml"],
            REGRESSION,
            "DetailRegression models details given LL, which this factor has not",
        ),
        (
            ["--model.coarse", "given.yaml", "--model.coarse.generator.bounded", "true"],
            WAVEDIFF,
            "scaling must keep bands in [-1, 1] for a generator that ends in tanh",
        ),
        (["--model.details", "experiments/models/nosuch.yaml"], None, "nosuch.yaml"),
        (
            ["--model.details", "given.yaml", "--model.details.mse_weight", "2"],
            [REGRESSION] * 2,
            "--model.details.mse_weight must not point inside a list, got model.details, a list of 2",
        ),
        (
            ["--trainer.callbacks.decay", "0.9"],
            None,
            "--trainer.callbacks.decay must name a callback",
        ),
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
    assert len(said[0]) < 350
