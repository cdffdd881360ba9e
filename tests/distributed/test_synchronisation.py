from contextlib import ExitStack, contextmanager
from functools import partial

import lightning as L
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.tiny import BATCHES_AN_EPOCH, tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import Throughput
from wavelight.loggers import CSVLogger

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense.default,  # item, float, int and bool of a tensor
    aten.nonzero.default,
    aten.equal.default,
    aten.masked_select.default,
    aten._unique2.default,
}


COPYING = {torch.Tensor.cpu, torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.__array__}


class Waits(TorchDispatchMode):
    """Lists the operations that would make a processor wait for the GPU, were there one."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        masked = function in (aten.index.Tensor, aten.index_put_.default) and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if function in WAITING or masked:
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


class Copies(TorchFunctionMode):
    """Lists copies to the CPU, which no operation makes where the tensor is there already."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, function, types, args=(), kwargs=None):
        # By its name: the device of a run on the CPU is a torch.device, and rightly moved to.
        named = [argument for argument in args[1:] if isinstance(argument, str)]
        if function in COPYING or (function is torch.Tensor.to and named == ["cpu"]):
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


@contextmanager
def waits():
    found = []
    with Waits(found), Copies(found):
        yield found


class Watch(L.Callback):
    """Notes the waits of each batch, from its arrival until the next one's, or the epoch's end."""

    def __init__(self):
        self.batches = []
        self.watching = ExitStack()

    def on_train_batch_start(self, *rest):
        self.watching.close()
        self.batches.append(self.watching.enter_context(waits()))

    def on_train_epoch_end(self, *rest):
        self.watching.close()


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
