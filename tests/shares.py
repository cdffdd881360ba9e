"""Functions of a batch on processes that share it out, without a trainer."""

import torch
from torch import distributed, multiprocessing


def on_processes(folder, processes, function, *arguments):
    """Call a function ``(rank, *arguments)`` on each of several processes, and return what each returns.

    Args:
        folder: Where they meet.
        processes: Their number.
        function: Of a module's top level, so that new processes find it.
        *arguments: The same for all.
    """
    multiprocessing.spawn(_call, (processes, folder, function, arguments), nprocs=processes)
    return [torch.load(folder / f"returned{rank}.pt") for rank in range(processes)]


def _call(rank, processes, folder, function, arguments):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=processes
    )
    torch.save(function(rank, *arguments), folder / f"returned{rank}.pt")
    distributed.destroy_process_group()
