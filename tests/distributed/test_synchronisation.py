from functools import partial

import pytest
import torch

from tests.synchronisation import Watch, waits
from tests.tiny import BATCHES_AN_EPOCH, tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import Throughput
from wavelight.loggers import CSVLogger


def test_the_watch_sees_waits():
    x = torch.arange(4.0)
    for wait in (
        lambda: x.sum().item(),
        lambda: float(x[0]),
        lambda: bool((x > 0).any()),
        lambda: x[x > 1],
        lambda: x.nonzero(),
        lambda: torch.equal(x, x + 1),
        lambda: x.cpu(),
        lambda: x.to("cpu"),
        lambda: x.tolist(),
        lambda: x.numpy(),
    ):
        with waits() as found:
            wait()
        assert found
    with waits() as found:
        x[torch.tensor([1, 2])].mean().sqrt()
    assert not found


def waits_of_batches(folder, **changes):
    watch = Watch()
    trainer = tiny_trainer(
        folder,
        watch,
        Throughput(),
        max_epochs=1,
        logger=CSVLogger(folder),
        log_every_n_steps=100,
        enable_progress_bar=True,
    )
    trainer.fit(tiny_system(**changes), datamodule=tiny_data())
    return watch.batches


# Adam that is not fused reads its step counters, which stay on the CPU.
ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)
FUSED = {"generator_optimizer": ADAM, "discriminator_optimizer": ADAM}


@pytest.mark.parametrize("changes", [{}, {"accumulate_grad_batches": 2, "gradient_clip_val": 1.0}])
def test_no_batch_waits_for_the_device(tmp_path, changes):
    # The penalty R1 is among the first batch and the fourth.
    assert waits_of_batches(tmp_path, **FUSED, **changes) == [[]] * BATCHES_AN_EPOCH


def test_the_watch_sees_into_a_run(tmp_path):
    assert all(waits_of_batches(tmp_path))
