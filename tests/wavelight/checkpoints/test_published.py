"""Published weights go in: as bare networks, and as checkpoints of whole systems."""

import argparse
import ast
import os
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
import yaml

import wavelight
from tests.golden import golden_file
from tests.places import ROOT, TINY
from tests.tiny import tiny_data, tiny_system, tiny_trainer
from wavelight.__main__ import main
from wavelight.checkpoints.loading import system_from_config
from wavelight.checkpoints.published import experiment_config, from_published
from wavelight.commands.convert import convert
from wavelight.commands.export import export
from wavelight.config.experiments import find_experiment, shipped_experiment, shipped_experiments
from wavelight.networks.published import load_published, published_state
from wavelight.wavelets import BandOrder
from wavelight.weights import holds_run


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])


@pytest.fixture
def everything_that_ships():
    """What ships is what the package has, not what :func:`two_experiments` puts in its place."""


@pytest.fixture(autouse=True)
def two_experiments(tmp_path, monkeypatch, request):
    """What ships is ``tiny``, and ``broad`` with a broader generator."""
    if "everything_that_ships" in request.fixturenames:
        return
    folder = tmp_path / "package" / "experiments"
    folder.mkdir(parents=True)
    config = yaml.safe_load(TINY.read_text())
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    config["model"]["init_args"]["generator"]["init_args"]["width"] = 32
    (folder / "broad.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr("wavelight.config.experiments._HERE", tmp_path / "package")


@pytest.fixture
def system():
    """The system of ``tiny`` with weights of its own."""
    torch.manual_seed(7)
    system = system_from_config(experiment_config("tiny"))
    with torch.no_grad():
        for parameter in system.parameters():
            parameter.normal_(std=0.1)
    return system.eval()


def published(system, player="generator", prefix="module."):
    network = system.models[0].players()[player].network
    return {prefix + name: tensor for name, tensor in published_state(network).items()}


def saved(state, name="netG_1.pth"):
    torch.save(state, name)
    return Path(name)


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_shipped_experiments_are_listed_by_their_stems(tmp_path):
    assert list(shipped_experiments()) == ["broad", "tiny"]
    assert shipped_experiment("tiny") == tmp_path / "package" / "experiments" / "tiny.yaml"
    assert find_experiment("experiments/tiny.yaml") == str(shipped_experiment("tiny"))
    assert find_experiment("experiments/other.yaml") == "experiments/other.yaml"
    with pytest.raises(ValueError, match="experiment must be one of broad, tiny, got 'other'"):
        shipped_experiment("other")


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_player_gets_the_published_weights(system, player, as_file, prefix):
    state = published(system, player, prefix)
    network = from_published(saved(state) if as_file else state, "tiny", player)
    expected = system.models[0].players()[player].network
    assert not network.training
    assert type(network) is type(expected)
    assert same(network.state_dict(), expected.state_dict())


def test_networks_are_called_as_published(system):
    x, t, z = torch.randn(4, 12, 8, 8), torch.arange(4) % 2, torch.randn(4, 100)
    generator = from_published(published(system), "tiny")
    judge = from_published(published(system, "discriminator"), "tiny", "discriminator")
    with torch.no_grad():
        assert torch.equal(generator(x, t, z), system.models[0].generator(x, t, z))
        assert torch.equal(judge(x, t, -x), system.models[0].discriminator(x, t, -x))


def without_one(state):
    return dict(list(state.items())[1:])


def with_one_more(state):
    return state | {"module.more": torch.ones(1)}


def with_another_shape(state):
    name = next(iter(state))
    return state | {name: state[name][:1]}


def with_a_mixed_prefix(state):
    return {
        name.removeprefix("module.") if i else name: state[name] for i, name in enumerate(state)
    }


@pytest.mark.parametrize(
    "spoilt", [without_one, with_one_more, with_another_shape, with_a_mixed_prefix]
)
def test_loading_is_strict(system, spoilt):
    state = spoilt(published(system))
    with pytest.raises(
        ValueError,
        match=r"^the state dict is not the generator of tiny: .*fits no generator of the",
    ):
        from_published(state, "tiny")
    with pytest.raises(ValueError, match="missing, unknown or of another shape"):
        load_published(system.models[0].generator, state)


def test_a_mismatch_names_what_fits(system):
    with pytest.raises(ValueError, match=r"netG_1.pth is not the generator of broad.*fits tiny$"):
        from_published(saved(published(system)), "broad")


def test_a_mismatch_is_one_of_a_player(system):
    judge = with_one_more(published(system, "discriminator"))
    with pytest.raises(
        ValueError, match="is not the discriminator of tiny: 'more' is missing, unknown"
    ):
        from_published(judge, "tiny", "discriminator")
    # Both experiments have this discriminator, and it is no generator of either.
    with pytest.raises(ValueError, match="it fits no generator of the experiments that ship"):
        from_published(published(system, "discriminator"), "tiny", "generator")


def test_unknown_experiments_and_players_are_named(system):
    with pytest.raises(ValueError, match="experiment must be one of broad, tiny, got 'celeba'"):
        from_published(published(system), "celeba")
    with pytest.raises(ValueError, match=r"player must be .* for tiny, got 'judge'"):
        from_published(published(system), "tiny", "judge")


def test_only_tensors_are_taken(system):
    with pytest.raises(ValueError, match="'state_dict' in this one is of type dict"):
        from_published(saved({"state_dict": published(system)}), "tiny")
    with pytest.raises(ValueError, match="'epoch' in this one is of type int"):
        from_published(published(system) | {"epoch": 3}, "tiny")
    with pytest.raises(FileNotFoundError, match=r"nowhere.pth"):
        from_published("nowhere.pth", "tiny")


class Harmful:
    def __reduce__(self):
        return print, ("code of a stranger ran",)


@pytest.mark.parametrize(
    ("extra", "named"), [(argparse.Namespace(a=1), "argparse.Namespace"), (Harmful(), "print")]
)
def test_other_objects_are_refused_by_name_and_do_not_run(system, capsys, extra, named):
    path = saved({**published(system), "args": extra}, "content.pth")
    with pytest.raises(ValueError, match=f"content.pth holds .*{named} beside weights"):
        from_published(path, "tiny")
    assert "stranger" not in capsys.readouterr().out


def test_a_converted_checkpoint_draws_what_the_weights_draw(system):
    convert(saved(published(system)), "tiny", Path("folder/tiny.ckpt"))
    assert [path.name for path in Path("folder").iterdir()] == ["tiny.ckpt"]
    loaded = wavelight.load("folder/tiny.ckpt")
    assert torch.equal(loaded.sample(3, seed=5), system.sample(3, seed=5))
    export(Path("folder/tiny.ckpt"), Path("g.safetensors"))
    assert torch.equal(wavelight.load("g.safetensors").sample(3, seed=5), loaded.sample(3, seed=5))


def test_a_discriminator_is_converted_or_untrained(system):
    state = saved(published(system))
    judge = saved(published(system, "discriminator"), "netD.pth")
    before = torch.get_rng_state()
    convert(state, "tiny", Path("one.ckpt"))
    convert(state, "tiny", Path("two.ckpt"))
    assert torch.equal(torch.get_rng_state(), before)
    convert(state, "tiny", Path("both.ckpt"), discriminator=judge)
    one, two, both = (
        torch.load(f"{name}.ckpt", weights_only=True)["state_dict"]
        for name in ("one", "two", "both")
    )
    assert same(one, two)
    assert same(both, system.state_dict())
    assert not same(one, both)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["netG_1.pth", "tiny", "out.pth"], "the file to write ends in .ckpt"),
        (["netG_1.pth", "broad", "out.ckpt"], "it fits tiny"),
        (["netG_1.pth", "nothing", "out.ckpt"], "got 'nothing'"),
        (["none.pth", "tiny", "out.ckpt"], "none.pth"),
        (["netG_1.pth", "tiny", "out.ckpt", "--discriminator", "netG_1.pth"], "not the discr"),
    ],
)
def test_bad_input_of_convert_is_one_sentence(system, arguments, sentence, capsys):
    saved(published(system))
    with pytest.raises(SystemExit) as stopped:
        main(["convert", *arguments])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert sentence in said[0]
    assert not list(Path().glob("out*"))


def converted(system):
    """A checkpoint that the command has written, with both players."""
    saved(published(system))
    saved(published(system, "discriminator"), "netD.pth")
    main(["convert", "netG_1.pth", "tiny", "tiny.ckpt", "--discriminator", "netD.pth"])
    return "tiny.ckpt"


def test_predict_and_sample_draw_from_a_converted_checkpoint(system, caplog):
    path = converted(system)
    options = ["--images", "3", "--seed", "5"]
    with caplog.at_level("INFO"):
        main(["predict", "--config", str(TINY), "--ckpt_path", path, "--out", "one", *options])
    # Its configuration is the one that the command line makes of the experiment.
    assert "trained with" not in caplog.text
    main(["sample", path, "two", *options])
    for number in range(3):
        name = f"{number:06d}.png"
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()


@pytest.mark.parametrize("method", ["validate", "test"])
def test_a_converted_checkpoint_is_measured(system, method, caplog):
    here = ["--config", str(TINY), "--ckpt_path", converted(system)]
    images = ["--data.val_images", "4", "--data.test_images", "4", "--data.batch_size", "4"]
    with caplog.at_level("INFO"):
        main([method, *here, *images])
    assert "data.batch_size is 4, but the checkpoint was trained with 8" in caplog.text


class AtStart(L.Callback):
    """Keeps what a run starts from."""

    def on_train_start(self, trainer, pl_module):
        self.state = {name: tensor.clone() for name, tensor in pl_module.state_dict().items()}
        self.images_seen = pl_module.images_seen
        self.states = [optimizer.state for optimizer in trainer.optimizers]


def started_from(path, folder, system=None, **changes):
    start = AtStart()
    trainer = tiny_trainer(folder, start, max_epochs=1, **changes)
    system = system or tiny_system()
    trainer.fit(system, datamodule=tiny_data(), ckpt_path=str(path))
    assert start.images_seen == 0
    assert system.images_seen == 32
    return start


def test_a_new_run_starts_from_a_converted_checkpoint(system, tmp_path, caplog):
    path = converted(system)
    assert not holds_run(Path(path))
    with caplog.at_level("INFO"):
        start = started_from(path, tmp_path)
    assert same(start.state, system.state_dict())
    assert "tiny.ckpt holds weights but no optimizers: a new run starts from them." in caplog.text
    assert holds_run(tmp_path / "checkpoints" / "last.ckpt")


@pytest.mark.ddp
def test_every_process_starts_from_a_converted_checkpoint(system, tmp_path):
    path = converted(system)
    Path("more.yaml").write_text(
        "trainer:\n  callbacks+:\n    - class_path: tests.recording.AtStart\n"
        f"      init_args: {{folder: {tmp_path}}}\n"
    )
    command = [sys.executable, "-m", "wavelight", "fit", "--config", str(TINY)]
    command += ["--config", "more.yaml", "--ckpt_path", path, "--trainer.max_epochs", "1"]
    command += ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        state = torch.load(tmp_path / f"start{rank}.pt", weights_only=True)
        assert same(state, system.state_dict())


@pytest.mark.parametrize("path", ["g.safetensors", "netG_1.pth"])
def test_a_new_run_starts_from_a_generator_alone(system, tmp_path, path):
    export(Path(converted(system)), Path("g.safetensors"))
    start, untrained = started_from(path, tmp_path).state, tiny_system().state_dict()
    for name, tensor in start.items():
        expected = system.state_dict() if "generator" in name else untrained
        assert torch.equal(tensor, expected[name])


@pytest.mark.parametrize("ckpt_path", ["last", "checkpoints/last.ckpt"])
def test_a_run_that_can_go_on_goes_on(system, tmp_path, ckpt_path):
    started_from(converted(system), tmp_path)
    start, again = AtStart(), tiny_system()
    trainer = tiny_trainer(tmp_path, start, max_epochs=2)
    trainer.fit(again, datamodule=tiny_data(), ckpt_path=ckpt_path)
    assert start.images_seen == 32
    assert again.start_from is None


def test_a_new_run_does_not_overwrite_an_earlier_one(system, tmp_path):
    path = converted(system)
    started_from(path, tmp_path)
    with pytest.raises(ValueError, match="must not be the folder of an earlier run"):
        started_from(path, tmp_path)


def test_two_starts_are_refused(system, tmp_path):
    path = converted(system)
    with pytest.raises(ValueError, match="give one of them"):
        started_from(path, tmp_path, tiny_system(start_from=Path("netG_1.pth")))
    assert same(
        started_from(path, tmp_path, tiny_system(start_from=Path(path))).state,
        system.state_dict(),
    )


@pytest.mark.parametrize("method", ["validate", "test", "predict"])
def test_networks_alone_are_no_checkpoints(system, tmp_path, method):
    export(Path(converted(system)), Path("g.safetensors"))
    for path in ("g.safetensors", "netG_1.pth"):
        with pytest.raises(ValueError, match="networks alone: `wavelight sample` samples"):
            getattr(tiny_trainer(tmp_path), method)(tiny_system(), ckpt_path=path)


def test_a_run_has_the_same_model_in_its_checkpoints_as_a_converted_one(system):
    path = converted(system)
    main(["fit", "--config", str(TINY), "--ckpt_path", path, "--trainer.default_root_dir", "run"])
    ours, theirs = (
        yaml.safe_load(torch.load(name, weights_only=True)["wavelight_config"])
        for name in ("run/checkpoints/last.ckpt", path)
    )
    assert ours["model"] == theirs["model"]
    assert ours["seed_everything"] == theirs["seed_everything"]


def random_state(experiment, player="generator"):
    """Return random weights under the names and of the shapes that a golden file lists."""
    lines = golden_file(f"wavediff_keys_{experiment}.txt").read_text().splitlines()
    listed = [line[2:].split(" ", 1) for line in lines if line.startswith(player[0].upper() + " ")]
    generator = torch.Generator().manual_seed(0)
    return {
        f"module.{name}": torch.randn(ast.literal_eval(shape), generator=generator) * 0.02
        for name, shape in listed
    }


@pytest.mark.slow
@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("experiment", ["cifar10", "celeba256"])
@pytest.mark.usefixtures("everything_that_ships")
def test_published_names_and_shapes_load_into_the_real_networks(experiment, player):
    state = random_state(experiment, player)
    network = from_published(state, experiment, player)
    for name, tensor in published_state(network).items():
        assert torch.equal(tensor, state[f"module.{name}"])
    size = {"cifar10": 16, "celeba256": 128}[experiment]
    x, t = torch.randn(1, 12, size, size), torch.tensor([3])
    with torch.no_grad():
        out = network(x, t, torch.randn(1, 100) if player == "generator" else x)
    assert out.shape == (x.shape if player == "generator" else (1, 1))
    assert out.isfinite().all()


@pytest.mark.slow
@pytest.mark.usefixtures("everything_that_ships")
def test_weights_given_to_the_wrong_shipped_experiment():
    with pytest.raises(ValueError, match=r"it fits celeba256 or .*\bchurch$"):
        from_published(random_state("celeba256"), "cifar10")
    with pytest.raises(ValueError, match=r"it fits cifar10$"):
        from_published(random_state("cifar10"), "cifar10_ddgan")


@pytest.mark.slow
@pytest.mark.usefixtures("everything_that_ships")
@pytest.mark.parametrize(
    ("experiment", "order"),
    [("cifar10", BandOrder.PYTORCH_WAVELETS), ("celeba256", BandOrder.WAVECNET)],
)
def test_the_band_order_goes_with_the_experiment(experiment, order):
    convert(saved(random_state(experiment)), experiment, Path("x.ckpt"))
    system = wavelight.load("x.ckpt")
    assert system.factorization.order is order
    image = system.sample(1, seed=0)
    assert image.shape == (1, 3, system.image_size, system.image_size)


@pytest.mark.usefixtures("everything_that_ships")
@pytest.mark.parametrize("name", sorted(shipped_experiments()))
def test_every_experiment_can_be_built_from_its_name_alone(name):
    with torch.device("meta"):
        system = system_from_config(experiment_config(name))
    config = yaml.safe_load(shipped_experiment(name).read_text())
    assert system.image_size == config["data"]["image_size"]
    assert system.seed == config["seed_everything"]
