import warnings

import lightning as L
import pytest
import torch

from tests.runs import fit
from tests.systems import tiny_sgm
from tests.tiny import tiny_data, tiny_system
from wavelight.callbacks import CollapseWarning
from wavelight.callbacks.collapse import spread


def run(folder, *callbacks, **options):
    defaults = {
        "max_epochs": 2,
        "limit_val_batches": 1,
        "log_every_n_steps": 2,
        "data": tiny_data(),
    }
    return fit(folder, *callbacks, **(defaults | options))


class Biased(L.Callback):
    """Gives the discriminator logits that leave no loss of one kind or of both, as one that has won has."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        def far(module, arguments, logits):
            # A real pair comes first, a generated one second, in the discriminator's turn.
            self.calls = getattr(self, "calls", 0) + 1
            return logits * 0 + (50.0 if self.calls % 3 == 1 else -50.0)

        if batch_idx == 0 and trainer.current_epoch == 0:
            pl_module.models[0].discriminator.register_forward_hook(far)


def test_a_discriminator_that_has_won_is_said_once(tmp_path):
    system = tiny_system(r1_gamma=0.0)
    with pytest.warns(
        UserWarning,
        match=r"train/discriminator has won: its losses stayed below 0.01.* after 32 images",
    ) as said:
        run(tmp_path, Biased(), CollapseWarning(), system=system)
    assert sum("has won" in str(each.message) for each in said) == 1


class Same(L.Callback):
    def on_validation_start(self, trainer, pl_module):
        real = pl_module.generate
        pl_module.generate = lambda *arguments: real(*arguments)[:1].expand(
            len(arguments[0]), -1, -1, -1
        )


def test_images_that_are_all_alike_are_said(tmp_path):
    with pytest.warns(
        UserWarning,
        match=r"generated images are nearly all alike after 32 images: .* is 0.0% of the data's",
    ):
        run(tmp_path, Same(), CollapseWarning())


@pytest.mark.parametrize("system", [tiny_system, tiny_sgm])
def test_runs_that_are_well_get_no_warning(tmp_path, system):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run(tmp_path, CollapseWarning(), system=system())
    assert not [
        each for each in said if "has won" in str(each.message) or "alike" in str(each.message)
    ]


def test_the_spread_is_over_images():
    assert spread(torch.ones(4, 3, 8, 8)) == 0
    assert spread(torch.arange(2.0).view(2, 1, 1, 1)).item() == pytest.approx(0.5**0.5)
