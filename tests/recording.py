"""A callback that notes, for tests of several processes, what each of them saw."""

from pathlib import Path

import lightning as L
import torch

from wavelight.noise import Noise


class Recorder(L.Callback):
    """Writes the indices of a process's images and the first numbers of their noise to a file of its own.

    Args:
        folder: Where the files go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        noise = Noise(pl_module.seed, batch["index"], stream=1).normal(2)
        self.seen.append((batch["index"].clone(), noise, batch["image"].mean((1, 2, 3))))

    def on_train_end(self, trainer, pl_module):
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.seen, self.folder / f"rank{trainer.global_rank}of{trainer.world_size}.pt")


class AtStart(L.Callback):
    """Writes the weights that a process starts from to a file of its own.

    Args:
        folder: Where the files go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def on_train_start(self, trainer, pl_module):
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.save(pl_module.state_dict(), self.folder / f"start{trainer.global_rank}.pt")


class AtEnd(L.Callback):
    """Writes the parameters that a process has learnt to a file of its own."""

    def on_train_end(self, trainer, pl_module):
        parameters = {name: value.detach() for name, value in pl_module.named_parameters()}
        torch.save(parameters, Path(trainer.default_root_dir) / f"end{trainer.global_rank}.pt")


class Sampled(L.Callback):
    """Writes the numbers of the images that a process has sampled, batch by batch, to a file of its own.

    Args:
        folder: Where the files go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def on_predict_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"sampled{trainer.global_rank}.txt").open("a") as file:
            file.write(f"{batch['index'].tolist()}\n")
