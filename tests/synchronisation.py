"""Operations that make a process wait for its device, counted."""

from contextlib import ExitStack, contextmanager

import lightning as L
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

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
