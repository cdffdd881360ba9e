"""The hybrid learns, resumes and samples like every other system, with shared models of the details or one a level."""

import copy
import csv
from functools import partial

import lightning as L
import pytest
import torch
import yaml

from data_modules import Scenes, WaveletDataModule
from tests.processes import fit_apart
from tests.runs import StopAt, assert_equal_states, assert_same_run, fit, last
from tests.synchronisation import Watch
from tests.systems import (
    denoising_gan,
    detail_gan,
    regression,
    score_model,
    tiny_hybrid,
    unnormalized_gan,
)
from tests.tiny import BATCHES_AN_EPOCH
from wavelight.__main__ import main
from wavelight.callbacks.ema import ema_weights
from wavelight.checkpoints.loading import load
from wavelight.commands.export import export
from wavelight.factorizations.pyramids import LaplacianPyramid, Pyramid
from wavelight.factorizations.scaling import Peak, PerChannel, Unscaled
from wavelight.factors import FactorShape
from wavelight.losses import BoundedCriticLoss
from wavelight.models import DetailGAN, DetailRegression, ScoreModel
from wavelight.networks import AttentionGateUNet, GroupedDiscriminator
from wavelight.systems import WSGM, Hybrid
from wavelight.systems.cost import cost
from wavelight.weights import TRAINING_KEY, read_checkpoint

GENERATOR = partial(AttentionGateUNet, width=4, noise_channels=3)


def data():
    return WaveletDataModule(Scenes(images=64), 16, batch_size=8, seed=3, num_workers=0)


class Turns(L.Callback):
    """Notes the optimizer of every step, by its number."""

    def __init__(self):
        self.batches = []

    def on_train_batch_start(self, *rest):
        self.batches.append([])

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.batches[-1].append(trainer.optimizers.index(optimizer))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two epochs that nothing interrupts: its checkpoint, its system and its turns."""
    folder, turns = tmp_path_factory.mktemp("whole"), Turns()
    system = fit(folder, turns, system=tiny_hybrid(), data=data(), max_epochs=2)
    return last(folder), system, turns.batches


def test_a_shared_model_has_one_optimizer_and_a_turn_a_level(whole):
    """The score model, the discriminator and the generator: 0, 1 and 2; the discriminator plays every third batch."""
    checkpoint, _, batches = whole
    assert len(checkpoint["optimizer_states"]) == 3
    playing, resting = [0, 1, 2, 1, 2], [0, 2, 2]
    assert batches == [playing if number % 3 == 0 else resting for number in range(8)]
    steps = [next(iter(each["state"].values()))["step"] for each in checkpoint["optimizer_states"]]
    assert steps == [8, 6, 16]


def test_a_shared_model_is_kept_once(whole):
    _, system, _ = whole
    assert {name.split(".")[1] for name in system.state_dict() if name.startswith("models")} == {
        "0",
        "1",
    }
    assert list(system.sampling_networks()) == ["models.0.score", "models.1.generator"]
    coarse, generator = cost(system)
    assert (coarse.evaluations, generator.evaluations) == (3, 2)
    assert generator.parameters == sum(
        parameter.numel() for parameter in system.models[1].generator.parameters()
    )


@pytest.mark.parametrize("name", ["head.weight", "last.norm_in.running_mean"])
def test_the_average_of_a_shared_model_is_put_in_and_taken_out(whole, name):
    """What goes on learning is the system's own weights, and the checkpoint's are their average."""
    checkpoint, system, _ = whole
    name = f"models.1.generator.{name}"
    weight = system.state_dict()[name]
    learning = weight.clone()
    assert torch.equal(checkpoint[TRAINING_KEY][name], learning)
    assert not torch.equal(checkpoint["state_dict"][name], learning)
    with ema_weights(system.trainer, system):
        assert torch.equal(weight, checkpoint["state_dict"][name])
    assert torch.equal(weight, learning)


def test_parts_of_a_batch_change_no_turn(whole, tmp_path):
    turns = Turns()
    system = tiny_hybrid(details=unnormalized_gan(), accumulate_grad_batches=2)
    fit(tmp_path, turns, system=system, data=data(), max_epochs=1)
    assert turns.batches == whole[2][:BATCHES_AN_EPOCH]


@pytest.mark.parametrize("batches", [4, 5])
def test_resuming_changes_nothing(whole, tmp_path, batches):
    with pytest.raises(BaseException):  # noqa: B017, PT011 Lightning's, at the signal
        fit(tmp_path, StopAt(batches, 15), system=tiny_hybrid(), data=data(), max_epochs=2)
    torch.rand(batches)  # wherever PyTorch's own generator is by then
    fit(tmp_path, system=tiny_hybrid(), data=data(), max_epochs=2, ckpt_path="last")
    assert_same_run(whole[0], last(tmp_path))


def test_levels_learn_apart(tmp_path):
    before = tiny_hybrid().state_dict()
    turns = Turns()
    system = fit(tmp_path, turns, system=tiny_hybrid(train=[2]), data=data(), max_epochs=1)
    after = system.state_dict()
    assert turns.batches[:2] == [[0, 1], [1]]
    coarse, details = "models.0.score.head.weight", "models.1.generator.head.weight"
    assert torch.equal(before[coarse], after[coarse])
    assert not torch.equal(before[details], after[details])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"share_details": False},
        {"share_details": False, "details": [regression(), detail_gan()]},
        {"details": regression()},
    ],
    ids=["shared", "one a level", "others", "regression"],
)
def test_drawn_images_depend_on_their_number_alone(changes):
    system = tiny_hybrid(**changes)
    images = system.sample(3, seed=7, batch_size=2)
    assert images.shape == (3, 3, 16, 16)
    torch.testing.assert_close(system.sample(1, seed=7, start=2), images[2:], atol=1e-5, rtol=0)


def test_the_models_of_the_details_are_one_a_level_unless_they_are_shared():
    shared, apart = tiny_hybrid(), tiny_hybrid(share_details=False)
    listed = tiny_hybrid(share_details=False, details=[regression(), detail_gan()])
    assert [len(system.models) for system in (shared, apart, listed)] == [2, 3, 3]
    _, coarse, fine = shared.factor_models()
    assert coarse is fine
    assert [type(model) for model in apart.models[1:]] == [DetailGAN, DetailGAN]
    assert [type(model) for model in listed.models[1:]] == [DetailRegression, DetailGAN]


@pytest.mark.parametrize(
    ("changes", "shapes"),
    [
        ({}, [(3, 4, 4, 0), (9, 4, 4, 3), (9, 8, 8, 3)]),
        ({"image_size": 32}, [(3, 8, 8, 0), (9, 8, 8, 3), (9, 16, 16, 3)]),
        ({"channels": 1}, [(1, 4, 4, 0), (3, 4, 4, 1), (3, 8, 8, 1)]),
        ({"wavelet": "db2", "scaling": Peak()}, [(3, 4, 4, 0), (9, 4, 4, 3), (9, 8, 8, 3)]),
        ({"levels": 1}, [(3, 8, 8, 0), (9, 8, 8, 3)]),
        ({"pyramid": LaplacianPyramid}, [(3, 4, 4, 0), (3, 8, 8, 3), (3, 16, 16, 3)]),
    ],
    ids=["haar", "32 pixels", "grey", "db2", "one level", "laplacian"],
)
def test_models_are_built_for_their_factors(changes, shapes):
    built = []

    def noted(build):
        return lambda shape: built.append(shape) or build(shape)

    parts = {"coarse": noted(score_model(steps=2)), "details": noted(detail_gan())}
    system = tiny_hybrid(**parts, share_details=False, **changes)
    assert built == shapes
    images = system.sample(1)
    assert images.shape == (1, system.channels, system.image_size, system.image_size)
    assert images.isfinite().all()


def test_a_shared_model_is_built_for_the_coarsest_details():
    built = []
    tiny_hybrid(details=lambda shape: built.append(shape) or detail_gan()(shape))
    assert built == [FactorShape.square(9, 4, condition_channels=3)]


def test_levels_have_their_own_noise():
    """The same generator sees other noise at each level."""
    system, seen = tiny_hybrid().eval(), []
    system.models[1].generator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    system.sample(1)
    coarse, fine = (noise.flatten()[:8] for noise in seen)
    assert not torch.isclose(coarse, fine).any()


def test_with_score_models_of_the_details_it_is_wsgm(tmp_path):
    """The same weights at first, the same losses of every batch, the same images: to the bit."""

    def parts():
        torch.manual_seed(0)
        score = score_model()
        return {"coarse": score, "details": score, "levels": 2, "image_size": 16, "seed": 3}

    systems = [Hybrid(**parts()), WSGM(**parts())]
    assert_equal_states(*systems)
    losses = []
    for system in systems:
        folder = tmp_path / type(system).__name__
        watch = Losses()
        fit(folder, watch, system=system, data=data(), max_epochs=1, limit_train_batches=2)
        losses.append(watch.batches)
    assert len(losses[0]) == 2
    assert losses[0][0].keys() == {f"train/{index}/score/denoising" for index in range(3)}
    assert losses[0] == losses[1]
    assert_equal_states(*systems)
    one, other = (system.sample(2, seed=1) for system in systems)
    assert torch.equal(one, other)


class Losses(L.Callback):
    """Notes what every batch logs."""

    def __init__(self):
        self.batches = []

    def on_train_batch_end(self, trainer, *rest):
        losses = trainer.callback_metrics.items()
        self.batches.append({name: float(value) for name, value in losses})


def test_it_takes_a_laplacian_pyramid(tmp_path):
    """Of the same models as a wavelet's: three channels, at the side of the images that they complete."""
    system = tiny_hybrid(pyramid=LaplacianPyramid)
    fit(tmp_path, system=system, data=data(), max_epochs=1)
    assert system.target_shapes == [(3, 4, 4), (3, 8, 8), (3, 16, 16)]
    assert system.sample(2, seed=7).shape == (2, 3, 16, 16)
    assert [each.macs > 0 for each in cost(system)] == [True, True]


def test_a_laplacian_pyramid_is_scaled_by_the_statistics_of_its_own_bands(tmp_path):
    details = {"details": score_model(), "share_details": False}
    system = tiny_hybrid(**details, scaling=PerChannel(), pyramid=LaplacianPyramid)
    source = WaveletDataModule(
        Scenes(images=64), 16, batch_size=8, seed=3, num_workers=0, cache_dir=tmp_path / "cache"
    )
    fit(tmp_path, system=system, data=source, max_epochs=1, limit_train_batches=2)
    images = torch.cat([batch["image"] for batch in source.reference_dataloader()])
    for factor in system.factorization.encode(images):
        values = factor.target.transpose(0, 1).flatten(1)
        assert values.mean(1).abs().max() < 1e-4
        torch.testing.assert_close(values.std(1), torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"pyramid": LaplacianPyramid, "wavelet": "db2"},
            "wavelet must be left out where pyramid is given, which has its own filters, got 'db2'",
        ),
        ({"levels": 0}, "levels must be at least 1, got 0"),
        (
            {"levels": 3},
            "ssim_weight must be 0 where details complete images of a side below 6, got 0.5 for side 4",
        ),
        (
            {"details": denoising_gan()},
            "DenoisingGAN is unconditional and cannot model detail bands given LL; use it for LL",
        ),
        ({"coarse": detail_gan()}, "DetailGAN models details given LL, which this factor has not"),
        ({"coarse": regression()}, "DetailRegression models details given LL, which this factor"),
        (
            {"details": [], "share_details": False},
            "a list of one a level, got 0 for levels 2",
        ),
        (
            {"details": [detail_gan()] * 3, "share_details": False},
            "details must be one model for all levels or a list of one a level, got 3 for levels 2",
        ),
        (
            {"details": [detail_gan()] * 2},
            "details must be one model where share_details is true, got a list of 2",
        ),
        ({"scaling": Unscaled()}, "scaling must keep bands in .*: take Half or Peak"),
        ({"wavelet": "db2"}, "scaling must keep bands in .*: take Half or Peak"),
        ({"image_size": 18}, r"image_size must be divisible by 2\*\*levels = 4, got 18"),
        (
            {"details": detail_gan(generator=partial(GENERATOR, pools=3))},
            "the side of LL must be a multiple of 8 for the generator's 3 halvings, got 4",
        ),
    ],
)
def test_parts_that_do_not_go_together_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        tiny_hybrid(**changes)


def test_no_batch_waits_for_the_device(tmp_path):
    # Adam that is not fused reads its step counters, which stay on the CPU.
    adam, watch = partial(torch.optim.Adam, lr=1e-3, fused=True), Watch()
    gan = detail_gan(generator_optimizer=adam, discriminator_optimizer=adam)
    system = tiny_hybrid(details=gan, train=[1, 2])
    fit(tmp_path, watch, system=system, data=data(), max_epochs=1)
    assert watch.batches == [[]] * BATCHES_AN_EPOCH


# --- through the command line ---

OPTIMIZER = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}}
SCORE = {
    "class_path": "wavelight.models.ScoreModel",
    "init_args": {
        "network": {
            "class_path": "wavelight.networks.ImprovedUNet",
            "init_args": {
                "width": 16,
                "multipliers": [1],
                "attention_resolutions": [],
                "blocks": 1,
                "heads": 1,
            },
        },
        "optimizer": OPTIMIZER,
        "process": "wavelight.diffusion.processes.VarianceExploding",
        "parameterization": "wavelight.diffusion.parameterizations.Preconditioned",
        "noise_level_sampling": "wavelight.diffusion.noise_level_sampling.LogNormalSigma",
        "sampler": "wavelight.diffusion.samplers.heun",
        "schedule": "wavelight.diffusion.schedules.Karras",
        "steps": 2,
    },
}


def generator(noise_channels):
    return {
        "class_path": "wavelight.networks.AttentionGateUNet",
        "init_args": {"width": 4, "noise_channels": noise_channels, "pools": 1},
    }


GAN = {
    "class_path": "wavelight.models.DetailGAN",
    "init_args": {
        "generator": generator(3),
        "discriminator": {
            "class_path": "wavelight.networks.ResidualDiscriminator",
            "init_args": {"width": 4, "blocks": 2},
        },
        "generator_optimizer": OPTIMIZER,
        "discriminator_optimizer": OPTIMIZER,
        "adversarial_loss": "wavelight.losses.BoundedCriticLoss",
        "adversarial_weight": 0.1,
        "mse_weight": 20.0,
        "ssim_weight": 0.5,
        "discriminator_every": 2,
    },
}
REGRESSION = {
    "class_path": "wavelight.models.DetailRegression",
    "init_args": {
        "generator": generator(0),
        "generator_optimizer": OPTIMIZER,
        "mse_weight": 20.0,
        "ssim_weight": 0.5,
    },
}


LINEAR_GAUSSIAN = {
    "class_path": "wavelight.models.LinearGaussian",
    "init_args": {"kernel_size": 3, "optimizer": OPTIMIZER},
}
FLOW_MATCHING = copy.deepcopy(SCORE)
FLOW_MATCHING["init_args"] |= {
    "process": "wavelight.diffusion.processes.RectifiedFlow",
    "parameterization": "wavelight.diffusion.parameterizations.FlowPrediction",
    "noise_level_sampling": {
        "class_path": "wavelight.diffusion.noise_level_sampling.LogNormalSigma",
        "init_args": {"mean": 0.0, "deviation": 1.0},
    },
    "sampler": "wavelight.diffusion.samplers.ddim",
    "schedule": "wavelight.diffusion.schedules.Uniform",
}


def experiment(details, shared=False, train=None):
    return {
        "seed_everything": 3,
        "model": {
            "class_path": "wavelight.systems.Hybrid",
            "init_args": {
                "coarse": SCORE,
                "details": details,
                "share_details": shared,
                "levels": 2,
                "scaling": "wavelight.factorizations.Half",
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


def command(folder, name, details, *options, shared=False, train=None):
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(experiment(details, shared, train)))
    here = ["--config", f"{name}.yaml", "--trainer.default_root_dir", name]
    small = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3"]
    main(["fit", *here, *small, "--trainer.accelerator", "cpu", *options])
    return folder / name / "checkpoints" / "last.ckpt"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("details", "shared", "models"),
    [(GAN, True, [DetailGAN]), ([GAN, REGRESSION], False, [DetailGAN, DetailRegression])],
    ids=["shared", "one a level"],
)
def test_the_command_line_builds_trains_and_draws_it(folder, details, shared, models):
    path = command(folder, "run", details, "--trainer.log_every_n_steps", "2", shared=shared)
    system = load(path)
    assert [type(model) for model in system.models] == [ScoreModel, *models]
    assert isinstance(system.models[1].adversarial_loss, BoundedCriticLoss)
    # A resting player's last losses are in the log of a batch in which it rests.
    rows = list(csv.DictReader((folder / "run" / "metrics.csv").open()))
    names = ["1/discriminator/real", "1/discriminator/fake", "2/generator/mse", "0/score/denoising"]
    assert all(any(row[f"train/{name}"] for row in rows) for name in names)
    images = system.sample(2, seed=5)
    export(path, folder / "run.safetensors")
    assert torch.equal(load(folder / "run.safetensors").sample(2, seed=5), images)


LAPLACIAN = ["--model.pyramid=LaplacianPyramid"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("details", "shared", "options"),
    [
        (LINEAR_GAUSSIAN, True, []),
        (LINEAR_GAUSSIAN, True, LAPLACIAN),
        (FLOW_MATCHING, False, []),
        (FLOW_MATCHING, False, LAPLACIAN),
    ],
    ids=["linear-gaussian", "linear-gaussian Laplacian", "flow", "flow Laplacian"],
)
def test_details_and_pyramids_are_one_line_each(folder, details, shared, options):
    cache = ["--data.cache_dir", str(folder / "cache")]
    system = load(command(folder, "run", details, *cache, *options, shared=shared))
    assert len(system.models) == (2 if shared else 3)
    assert type(system.factorization) is (LaplacianPyramid if options else Pyramid)
    assert system.sample(2, seed=5).isfinite().all()


@pytest.mark.slow
def test_a_shared_model_is_joined_to_a_score_model_that_was_trained_apart(folder):
    coarse = command(folder, "coarse", GAN, shared=True, train=[0])
    details = command(folder, "details", GAN, shared=True, train=[1, 2])
    main(["join", f"[{coarse},{details}]", "--out", "whole.ckpt"])
    parts = [read_checkpoint(path)["state_dict"] for path in (coarse, details)]
    for name, tensor in load("whole.ckpt").state_dict().items():
        if name.startswith("models."):
            assert torch.equal(tensor, parts[int(name.split(".")[1])][name])
    with pytest.raises(SystemExit):
        main(["join", f"[{details},{details}]", "--out", "whole.ckpt"])


@pytest.mark.slow
def test_it_trains_in_bfloat16(tmp_path):
    system = fit(tmp_path, system=tiny_hybrid(), data=data(), max_epochs=1, precision="bf16-mixed")
    assert all(parameter.isfinite().all() for parameter in system.parameters())
    assert system.batches_seen == BATCHES_AN_EPOCH


@pytest.mark.ddp
@pytest.mark.parametrize("train", [None, [0]])
def test_processes_learn_the_same_weights(tmp_path, train):
    """Also where players rest, where one learns from several factors, and where others do not learn at all."""
    config = experiment(GAN, shared=True, train=train)
    config["trainer"] = {
        "callbacks+": [{"class_path": "tests.recording.AtEnd"}],
        "max_epochs": 1,
        "limit_train_batches": 4,
        "accelerator": "cpu",
        "devices": 2,
        "strategy": "ddp",
        "logger": False,
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    fit_apart(tmp_path, [tmp_path / "run.yaml"])
    one, two = (torch.load(tmp_path / f"end{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_shared_discriminator_takes_images_of_every_level():
    fixed = partial(GroupedDiscriminator, width=8, multipliers=[1], blocks=1)
    with pytest.raises(ValueError, match="share_details must be false with GroupedDiscriminator"):
        tiny_hybrid(details=detail_gan(discriminator=fixed))
    apart = tiny_hybrid(details=detail_gan(discriminator=fixed), share_details=False)
    assert [model.discriminator.resolution for model in apart.models[1:]] == [8, 16]
