"""Warnings of a GAN that has collapsed: the discriminator has won, or generated images are all alike."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from typing_extensions import override

from wavelight.systems import ImageGenerator


class CollapseWarning(L.Callback):
    """Warns once of each sign that a run no longer learns, at the end of an epoch; nothing is stopped.

    A discriminator that tells all real from all generated images gives the generator no gradient; generated images
    that hardly differ from each other have lost the diversity of the data, whose own is measured on a batch.

    Args:
        least_loss: A discriminator has won whose logistic losses on real and on generated images stay below this for an
            epoch, wherever they are logged.
        least_diversity: Diversity is gone below this share of the data's standard deviation over images, averaged over
            pixels.
    """

    def __init__(self, least_loss: float = 0.01, least_diversity: float = 0.05) -> None:
        self.least_loss = least_loss
        self.least_diversity = least_diversity
        self._losses: dict[str, list[Tensor]] = {}
        self._real: Tensor | None = None
        self._generated: Tensor | None = None
        self._warned: set[str] = set()

    @override
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if batch_idx == 0:
            self._real = spread(batch["image"])
        if (batch_idx + 1) % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        for name, value in trainer.callback_metrics.items():
            if name.startswith("train/") and name.endswith(("/real", "/fake")):
                self._losses.setdefault(name.rpartition("/")[0], []).append(value)

    @override
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx == 0 and isinstance(outputs, dict) and len(outputs["image"]) > 1:
            self._generated = spread(outputs["image"])

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        # Here the trainer has waited for the device already.
        for discriminator, values in self._losses.items():
            losses = torch.stack(values)
            # Losses of other kinds may be negative, and their size says nothing.
            if losses.min() >= 0 and losses.max() < self.least_loss:
                self._warn(
                    discriminator,
                    f"{discriminator} has won: its losses stayed below {self.least_loss:g} for an epoch, after "
                    f"{pl_module.images_seen:,} images; the generator learns nothing from it: lower its learning "
                    "rate, or raise its gradient penalty",
                )
        if self._real is not None and self._generated is not None:
            share = float(self._generated) / float(self._real)
            if share < self.least_diversity:
                self._warn(
                    "diversity",
                    f"generated images are nearly all alike after {pl_module.images_seen:,} images: their standard "
                    f"deviation over images is {share:.1%} of the data's, at least {self.least_diversity:.0%} were "
                    "expected",
                )
        self._losses, self._real, self._generated = {}, None, None

    def _warn(self, sign: str, sentence: str) -> None:
        if sign not in self._warned:
            self._warned.add(sign)
            rank_zero_warn(sentence)


def spread(images: Tensor) -> Tensor:
    """Return the standard deviation over images ``(N, C, H, W)``, averaged over pixels; a scalar on their device."""
    return images.detach().float().std(dim=0).mean()
