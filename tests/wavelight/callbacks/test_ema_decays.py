import pytest
import torch

from tests.runs import fit, last
from tests.tiny import tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import EMADecays, Evaluation
from wavelight.callbacks.ema import ema_tensors
from wavelight.callbacks.ema_decays import EMAS_KEY
from wavelight.metrics import FrechetWaveletDistance
from wavelight.support.errors import OptionError

DECAYS = [0.9, 0.0]


def evaluation():
    return Evaluation([FrechetWaveletDistance(packet_side=4)], reference_images=8, at_start=False)


def measured(folder, *callbacks, **changes):
    data = tiny_data(val_images=8, cache_dir=folder / "cache")
    return fit(folder, *callbacks, data=data, limit_val_batches=2, max_epochs=1, **changes)


def test_an_ema_of_the_same_decay_is_the_runs_own(tmp_path):
    fit(tmp_path, EMADecays(DECAYS), max_epochs=2)
    found = last(tmp_path)
    for name, tensor in found[EMAS_KEY][0.9].items():
        assert torch.equal(tensor, found["state_dict"][name])
    # An EMA that keeps nothing is the weights themselves.
    for name, tensor in found[EMAS_KEY][0.0].items():
        assert torch.equal(tensor, found["wavelight_training_weights"][name])


def test_a_run_goes_on_with_them(tmp_path):
    fit(tmp_path / "whole", EMADecays(DECAYS), max_epochs=2)
    fit(tmp_path / "cut", EMADecays(DECAYS), max_epochs=1)
    fit(tmp_path / "cut", EMADecays(DECAYS), max_epochs=2, ckpt_path="last")
    one, two = last(tmp_path / "whole")[EMAS_KEY], last(tmp_path / "cut")[EMAS_KEY]
    assert all(
        torch.equal(one[decay][name], two[decay][name]) for decay in one for name in one[decay]
    )


def test_each_is_measured_and_the_best_is_told(tmp_path, capsys):
    metrics = []

    class Keep(EMADecays):
        def on_validation_end(self, trainer, pl_module):
            metrics.append({name: float(v) for name, v in trainer.callback_metrics.items()})

    with pytest.warns(UserWarning, match="covariances are singular"):
        measured(tmp_path, evaluation(), Keep(DECAYS))
    (values,) = metrics
    assert values["val/fwd8_ema0_9"] == pytest.approx(values["val/fwd8"], rel=1e-6)
    assert values["val/fwd8_ema0"] != pytest.approx(values["val/fwd8"], rel=1e-6)
    told = capsys.readouterr().out
    best = "0" if values["val/fwd8_ema0"] < values["val/fwd8"] else "the run's own"
    assert f"EMA decays by val/fwd8: {best} is best" in told


def test_measuring_them_changes_no_training(tmp_path):
    with pytest.warns(UserWarning, match="covariances are singular"):
        with_them = measured(tmp_path / "with", evaluation(), EMADecays(DECAYS))
    with pytest.warns(UserWarning, match="covariances are singular"):
        without = measured(tmp_path / "without", evaluation())
    for name, tensor in ema_tensors(without).items():
        assert torch.equal(tensor, ema_tensors(with_them)[name])


def test_a_checkpoint_is_measured_by_the_decay_that_is_asked_for(tmp_path):
    fit(tmp_path, EMADecays(DECAYS), max_epochs=1)
    system = tiny_system()
    trainer = tiny_trainer(tmp_path, EMADecays(use=0.0))
    trainer.test(system, datamodule=tiny_data(test_images=4), ckpt_path="last")
    for name, tensor in last(tmp_path)[EMAS_KEY][0.0].items():
        assert torch.equal(tensor, ema_tensors(system)[name])


def test_a_decay_that_a_checkpoint_has_not_is_refused(tmp_path):
    fit(tmp_path, EMADecays(DECAYS), max_epochs=1)
    trainer = tiny_trainer(tmp_path, EMADecays(use=0.5))
    with pytest.raises(
        OptionError, match=r"ema_decays.use must be one .* got 0\.5; it has 0\.9, 0$"
    ):
        trainer.test(tiny_system(), datamodule=tiny_data(test_images=4), ckpt_path="last")


def test_a_decay_is_for_measuring_a_checkpoint(tmp_path):
    with pytest.raises(OptionError, match=r"ema_decays.use must go with a checkpoint"):
        fit(tmp_path, EMADecays(use=0.5), max_epochs=1)
    trainer = tiny_trainer(tmp_path, EMADecays(use=0.5))
    with pytest.raises(OptionError, match=r"ema_decays.use must go with a checkpoint"):
        trainer.test(tiny_system(), datamodule=tiny_data(test_images=4))


def test_they_are_measured_on_as_many_images_as_the_own_one(tmp_path, capsys):
    data = tiny_data(val_images=8, cache_dir=tmp_path / "cache")
    with pytest.warns(UserWarning, match="covariances are singular"):
        fit(
            tmp_path,
            evaluation(),
            EMADecays(DECAYS),
            data=data,
            limit_val_batches=0.5,
            max_epochs=1,
        )
    assert "EMA decays by val/fwd4:" in capsys.readouterr().out


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decays_are_shares(decay):
    with pytest.raises(ValueError, match=r"ema_decays.decays must be at least 0 and below 1"):
        EMADecays([decay])
