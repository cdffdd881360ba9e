"""Generated images into a folder: the batches that a process samples, and the callback that writes them."""

from typing import Any

import lightning as L
from typing_extensions import override

from data_modules.loaders import NumberLoader
from wavelight.callbacks.ema import ema_weights
from wavelight.checkpoints.digest import digest
from wavelight.sampling.image_folder import GeneratedFolder
from wavelight.systems import ImageGenerator


class MissingImages(L.LightningDataModule):
    """The numbers of the images that a folder lacks, shared among all processes by whole batches.

    The first process looks into the folder and tells the others: each would else see what the others have written
    by then, or a network's file system shows it.

    Args:
        folder: The folder.
        batch_size: Images that a process samples at once.
    """

    def __init__(self, folder: GeneratedFolder, batch_size: int) -> None:
        super().__init__()
        self.folder = folder
        self.batch_size = batch_size
        # Some processes have nothing to do where there are fewer batches than processes.
        self.allow_zero_length_dataloader_with_multiple_devices = True

    @override
    def predict_dataloader(self) -> NumberLoader | list[Any]:
        trainer = self.trainer
        assert trainer is not None
        found = trainer.strategy.broadcast(self._claimed() if trainer.is_global_zero else None)
        if isinstance(found, str):
            raise ValueError(found)
        # Lightning takes an empty list for nothing to do.
        return NumberLoader(found[trainer.global_rank :: trainer.world_size]) if found else []

    def _claimed(self) -> list[range] | str:
        """Return the batches to sample, or why the folder does not take them."""
        assert self.trainer is not None
        system = self.trainer.lightning_module
        assert isinstance(system, ImageGenerator)
        with ema_weights(self.trainer, system):
            weights = digest(system)
        try:
            self.folder.claim(weights)
            return self.folder.missing_batches(self.batch_size)
        except ValueError as error:
            return str(error)


class ImageWriter(L.Callback):
    """Writes generated images as they come.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: GeneratedFolder) -> None:
        self.folder = folder

    @override
    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.folder.write(outputs["index"].tolist(), outputs["image"])
