"""Checkpoints that are kept, for quality against the length of training."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from typing_extensions import override

from wavelight.callbacks.checkpointing import save_or_warn
from wavelight.checkpoints.run_files import FOLDER
from wavelight.systems import ImageGenerator


class Snapshots(Checkpoint):
    """Keeps checkpoints as ``checkpoints/images_0000128000.ckpt`` of the run's folder, named by the images seen.

    ``wavelight compare runs/church/checkpoints/images_*.ckpt`` measures them side by side, and a run can go on from
    each.

    Args:
        every_n_images: Images from one to the next; each is written at the end of the batch that completes them. None
            keeps none.

    Raises:
        ValueError: If the number is below 1.
    """

    def __init__(self, every_n_images: int | None = None) -> None:
        if every_n_images is not None and every_n_images < 1:
            raise ValueError(f"snapshots.every_n_images must be at least 1, got {every_n_images}")
        self.every_n_images = every_n_images

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, ImageGenerator)
        if self.every_n_images is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        seen = pl_module.images_seen
        before = seen - len(batch["index"]) * trainer.world_size
        if seen // self.every_n_images > before // self.every_n_images:
            folder = Path(trainer.default_root_dir) / FOLDER
            save_or_warn(trainer, folder / f"images_{seen:010d}.ckpt")
