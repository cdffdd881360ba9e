"""Precisions and strategies that training takes, and those that it refuses before it starts."""

from functools import partial

import pytest
import torch
from lightning.pytorch.plugins import HalfPrecision, MixedPrecision
from lightning.pytorch.strategies import FSDPStrategy

from tests import places
from tests.systems import field_data, score_model, tiny_fields
from wavelight.__main__ import main
from wavelight.training.capabilities import check_devices, check_strategy
from wavelight.training.trainer import Trainer

QUIET = {
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


def trainer(folder, **options):
    length = {"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 0}
    return Trainer(default_root_dir=folder, **length, **QUIET, **options)


@pytest.mark.parametrize(
    "precision", ["16-true", "bf16-true", "64-true", 64, "64", "transformer-engine"]
)
def test_rounded_weights_are_refused(tmp_path, precision):
    with pytest.raises(
        ValueError, match=f"^trainer.precision must be 32-true or .*, got {precision}: give"
    ):
        trainer(tmp_path, precision=precision)


def test_rounded_weights_are_refused_as_a_plugin_too(tmp_path):
    with pytest.raises(
        ValueError, match=r"^trainer.precision must be 32-true or .*, got bf16-true: give"
    ):
        trainer(tmp_path, plugins=[HalfPrecision("bf16-true")])


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "16-mixed"},
        {"precision": 16},
        {"plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]},
    ],
)
def test_training_does_not_scale_gradients(tmp_path, options):
    system = tiny_fields()
    before = [weight.clone() for weight in system.parameters()]
    with pytest.raises(ValueError, match=r"for training, .*, got 16-mixed: give"):
        trainer(tmp_path, **options).fit(system, datamodule=field_data(tmp_path))
    assert all(torch.equal(old, new) for old, new in zip(before, system.parameters(), strict=True))


@pytest.mark.parametrize("precision", ["32-true", 32, "bf16-mixed", "bf16", None])
@pytest.mark.parametrize("fused", [False, True])
def test_training_clips_in_each_precision_that_it_takes(tmp_path, precision, fused):
    """A step of plain gradient descent is then as long as the largest norm, whatever the gradient."""
    clipped, rate = 1e-3, 0.5
    model = score_model(optimizer=partial(torch.optim.SGD, lr=rate, fused=fused))
    system = tiny_fields(model=model, gradient_clip_val=clipped)
    before = [weight.clone() for weight in system.parameters()]

    one = trainer(tmp_path, precision=precision, num_sanity_val_steps=0)
    one.limit_train_batches = 1
    one.fit(system, datamodule=field_data(tmp_path))

    moved = [new - old for old, new in zip(before, system.parameters(), strict=True)]
    length = torch.cat([each.flatten() for each in moved]).norm()
    torch.testing.assert_close(length, torch.tensor(clipped * rate), rtol=1e-3, atol=0)


@pytest.mark.parametrize("devices", [0, -2, "0", "", " ", "x", [], ["x"], [-2], b"1,", None])
def test_devices_that_cannot_be_are_refused(devices):
    with pytest.raises(
        ValueError, match=r"^trainer.devices must be a number from 1, .*, got .*: give"
    ):
        check_devices(devices)


@pytest.mark.parametrize("devices", ["auto", 1, 8, -1, "2", "-1", [0], [-1], [1, 3], "0,1", "1,"])
def test_devices_are_a_number_or_numbers(devices):
    check_devices(devices)


@pytest.mark.parametrize("devices", [[0], [0, 255], -1])
def test_a_cpu_has_no_devices_with_numbers(tmp_path, devices):
    options = QUIET | {"devices": devices}
    with pytest.raises(ValueError, match=r"^trainer.devices must be a number that the accelerator"):
        Trainer(default_root_dir=tmp_path, **options)


@pytest.mark.parametrize("strategy", ["fsdp", "fsdp_cpu_offload", "deepspeed_stage_2", "xla"])
def test_shards_of_networks_are_refused(tmp_path, strategy):
    with pytest.raises(
        ValueError, match=f"^trainer.strategy must be auto or ddp, .*, got {strategy}: give"
    ):
        trainer(tmp_path, strategy=strategy)


def test_shards_of_networks_are_refused_as_an_object_too():
    with pytest.raises(
        ValueError, match=r"^trainer.strategy must be auto .*, got FSDPStrategy: give"
    ):
        check_strategy(FSDPStrategy())


@pytest.mark.parametrize("option", ["precision=bf16-true", "strategy=fsdp"])
def test_the_command_ends_in_a_sentence(tmp_path, capsys, option):
    with pytest.raises(SystemExit) as stopped:
        main(
            [
                "fit",
                f"--config={places.TINY}",
                f"--trainer.default_root_dir={tmp_path}",
                f"--trainer.{option}",
            ]
        )

    assert stopped.value.code == 2
    name, _, value = option.partition("=")
    said = capsys.readouterr().err
    assert f"wavelight: trainer.{name} must be" in said
    assert f"got {value}" in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())
