import pytest
import torch

from tests.tiny import tiny_system
from wavelight.networks.published import published_state
from wavelight.weights import (
    TRAINING_KEY,
    load_weights,
    read_checkpoint,
    state_of,
    write_safetensors,
)


def other_system():
    system = tiny_system()
    with torch.no_grad():
        for parameter in system.parameters():
            parameter.normal_()
    return system


def test_averaged_and_raw_weights_are_told_apart():
    checkpoint = {"state_dict": {"a": 1, "b": 2}, TRAINING_KEY: {"a": 3}}
    assert state_of(checkpoint) == {"a": 1, "b": 2}
    assert state_of(checkpoint, ema=False) == {"a": 3, "b": 2}
    with pytest.raises(
        ValueError, match="must be a checkpoint of wavelight, got one without a state_dict"
    ):
        state_of({"model": 1})


@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_generators_load(tmp_path, prefix):
    source, target = other_system(), tiny_system()
    state = published_state(source.models[0].generator)
    torch.save({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "netG.pth")
    load_weights(target, tmp_path / "netG.pth")
    for one, two in zip(
        source.models[0].generator.parameters(),
        target.models[0].generator.parameters(),
        strict=True,
    ):
        assert torch.equal(one, two)


def test_exported_generators_load_and_leave_the_rest(tmp_path):
    source, target = other_system(), tiny_system()
    write_safetensors(tmp_path / "g.safetensors", source.models[0].generator.state_dict(), {})
    missing = load_weights(target, tmp_path / "g.safetensors")
    assert missing
    assert all(name.startswith("models.0.discriminator.") for name in missing)
    assert torch.equal(
        source.models[0].generator.head.weight, target.models[0].generator.head.weight
    )


def test_weights_of_another_model_are_refused(tmp_path):
    state = other_system().state_dict()
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": state | {"models.0.generator.more": torch.ones(1)}}, path)
    with pytest.raises(ValueError, match=r"'models.0.generator.more' is missing or unknown"):
        load_weights(tiny_system(), path)
    torch.save({"state_dict": state | {"models.0.generator.head.bias": torch.ones(1)}}, path)
    with pytest.raises(ValueError, match="do not fit the model"):
        load_weights(tiny_system(), path)


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "none.ckpt")
    torch.save(other_system().state_dict(), tmp_path / "whole.ckpt")
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes((tmp_path / "whole.ckpt").read_bytes()[:2000])
    with pytest.raises(
        ValueError, match="cannot be read as a checkpoint: it is damaged or of another format"
    ):
        read_checkpoint(cut)


class Harmful:
    def __reduce__(self):
        return print, ("code of a stranger ran",)


def test_no_code_in_a_checkpoint_runs(tmp_path, capsys):
    torch.save({"state_dict": Harmful()}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"\(it could run code\)"):
        read_checkpoint(tmp_path / "x.ckpt")
    assert "stranger" not in capsys.readouterr().out
