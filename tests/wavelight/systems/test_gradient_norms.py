import lightning as L
import pytest
import torch

from tests.runs import assert_equal_states, fit
from tests.tiny import tiny_system

NORM = "train/generator/gradient_norm"


class Norms(L.Callback):
    """Keeps what is logged, and the norm of the gradient that the generator's last step has taken."""

    def __init__(self):
        self.logged, self.taken = [], []

    def on_train_batch_end(self, trainer, pl_module, *rest):
        self.logged.append(float(trainer.callback_metrics[NORM]))
        weights = trainer.optimizers[pl_module.learners().index("models.0.generator")]
        gradients = [each.grad for each in weights.param_groups[0]["params"]]
        self.taken.append(float(torch.nn.utils.get_total_norm(gradients)))


def test_the_norm_of_each_gradient_is_logged_and_changes_no_training(tmp_path):
    norms = Norms()
    with_norms = fit(
        tmp_path / "with", norms, system=tiny_system(log_gradient_norms=True), max_epochs=1
    )
    assert norms.logged == pytest.approx(norms.taken)
    assert min(norms.logged) > 0
    assert_equal_states(with_norms, fit(tmp_path / "without", max_epochs=1))


def test_it_is_that_before_the_gradient_is_clipped(tmp_path):
    norms, largest = Norms(), 1e-3
    system = tiny_system(log_gradient_norms=True, gradient_clip_val=largest)
    fit(tmp_path, norms, system=system, max_epochs=1)
    assert min(norms.logged) > largest
    assert norms.taken == pytest.approx([largest] * len(norms.taken), rel=1e-2)
