"""The callback that writes generated images as they come."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import BasePredictionWriter
from typing_extensions import override

from wavelight.checkpoints.digest import digest
from wavelight.sampling.image_folder import GeneratedFolder
from wavelight.systems import ImageGenerator


class ImageWriter(BasePredictionWriter):
    """Writes generated images as they come."""

    def __init__(self, folder: GeneratedFolder) -> None:
        super().__init__("batch")
        self.folder = folder

    @override
    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        self.folder.claim(digest(pl_module), first=trainer.is_global_zero)

    @override
    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Any,
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        images: torch.Tensor = prediction["image"]
        self.folder.write(prediction["index"].tolist(), images)
