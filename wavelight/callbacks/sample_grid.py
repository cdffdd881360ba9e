"""Grids of sampled images: how far a run has come."""

from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from wavelight.callbacks.ema import ema_weights
from wavelight.support.faults import GoingOn
from wavelight.support.pictures import (
    field_limit,
    grid,
    picture_of_field,
    picture_of_pixels,
    write_png,
)
from wavelight.systems import ImageGenerator
from wavelight.wavelets import DETAIL_BANDS, dwt2

FOLDER = "samples"


class SampleGrid(L.Callback):
    """Samples the same images again and again: in pixels on the left, their four sub-bands on the right.

    The noise is fixed, so that a picture shows what has been learnt since the one before. Pictures
    are PNG files in ``samples`` of the run's folder, named by the images seen, and go to W&B and
    TensorBoard where these log. Fields, which have no bounds, are shown in false colours, from blue
    below 0 to red above, which end at the magnitude that 99.5 % of the generated values do not exceed.

    Args:
        images: Number of images; a square number fills the grid.
        every_n_epochs: Epochs from one picture to the next.
        smallest_side: Images smaller than this are enlarged to it, in whole steps and without
            smoothing.
        coarse_bands: Number of LL bands of the same images further right: the image halved
            once, twice and so on by the system's own wavelet, enlarged to the image's side. For a
            WSGM of as many levels, these are its samples at every scale; 0 shows none.

    Raises:
        ValueError: If a number is too small; when training starts, if images cannot be halved so often.
    """

    def __init__(
        self,
        images: int = 16,
        every_n_epochs: int = 1,
        smallest_side: int = 64,
        coarse_bands: int = 0,
    ) -> None:
        if images < 0:
            raise ValueError(f"pictures.images must be at least 0, got {images}")
        if every_n_epochs < 1:
            raise ValueError(f"pictures.every_n_epochs must be at least 1, got {every_n_epochs}")
        if coarse_bands < 0:
            raise ValueError(f"pictures.coarse_bands must be at least 0, got {coarse_bands}")
        self.images = images
        self.every_n_epochs = every_n_epochs
        self.smallest_side = smallest_side
        self.coarse_bands = coarse_bands
        self._going_on = GoingOn("writing a sample grid", "pictures may be missing")

    @override
    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        assert isinstance(pl_module, ImageGenerator)
        image = torch.zeros(1, 1, pl_module.image_size, pl_module.image_size)
        try:
            coarse_images(image, pl_module.factorization.wavelet, self.coarse_bands)
        except ValueError as error:
            raise ValueError(
                f"pictures.coarse_bands must be fewer for images of {pl_module.image_size} pixels, got "
                f"{self.coarse_bands}: {error}"
            ) from error

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # Not on_fit_start: a system measures its bands then, after the callbacks' turn.
        assert isinstance(pl_module, ImageGenerator)
        if pl_module.images_seen == 0:
            self._sample(trainer, pl_module)

    @override
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            self._sample(trainer, pl_module)

    @rank_zero_only
    def _sample(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, ImageGenerator)
        if trainer.fast_dev_run or not self.images:  # type: ignore[attr-defined]
            return
        with ema_weights(trainer, pl_module):
            images = pl_module.sample(self.images, seed=pl_module.seed, batch_size=self.images)
        picture = self._picture(images, pl_module)
        path = Path(trainer.default_root_dir) / FOLDER / f"images_{pl_module.images_seen:010d}.png"
        with self._going_on.despite_faults():
            write_png(path, picture)
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    _log_picture(logger, path, pl_module)
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_image("samples", picture, pl_module.batches_seen)

    def _picture(self, images: Tensor, system: ImageGenerator) -> Tensor:
        shown = picture_of_pixels if system.bounded else picture_of_field
        if not system.bounded:
            images = images / field_limit(images)
        coarse = coarse_images(images, system.factorization.wavelet, self.coarse_bands)
        scale = max(1, self.smallest_side // images.shape[-1])
        first, *others = [
            grid(shown(part), scale) for part in (images, band_mosaic(images), *coarse)
        ]
        gap = torch.full((*first.shape[:2], 8), 255, dtype=torch.uint8)
        return torch.cat([first, *[part for other in others for part in (gap, other)]], dim=2)


def _log_picture(logger: WandbLogger, path: Path, system: ImageGenerator) -> None:
    import wandb

    # With its place on the x-axis, which log_image would leave out.
    picture = wandb.Image(str(path), caption=f"{system.images_seen} images seen")
    seen = {"samples": [picture], "images_seen": system.images_seen}
    logger.log_metrics(seen, step=system.batches_seen)  # type: ignore[arg-type]


def band_mosaic(images: Tensor) -> Tensor:
    """Return the Haar bands of images as pictures of the same size, LL top left, HL right of it, LH below.

    LL is halved into the range of pixels; details are doubled, with grey for 0, to be seen.

    Args:
        images: ``(N, C, H, W)`` in [-1, 1].
    """
    coarse, details = dwt2(images)
    low_high, high_low, diagonal = (2 * details).clamp(-1, 1).chunk(DETAIL_BANDS, dim=1)
    top, bottom = torch.cat([coarse / 2, high_low], dim=3), torch.cat([low_high, diagonal], dim=3)
    mosaic = torch.cat([top, bottom], dim=2)
    return functional.interpolate(mosaic, size=images.shape[-2:])


def coarse_images(images: Tensor, wavelet: str, bands: int) -> list[Tensor]:
    """Return LL bands as pictures of the images' size: the LL of the images, the LL of that, and so on.

    Each is divided by 2 per level, into the range of pixels; with a wavelet other than Haar's some
    values leave it.

    Args:
        images: ``(N, C, H, W)``.
        wavelet: By PyWavelets' name.
        bands: Number of LL bands.

    Raises:
        ValueError: If a band cannot be halved, see :func:`wavelight.wavelets.dwt2`.
    """
    found, coarse = [], images
    for level in range(1, bands + 1):
        coarse, _ = dwt2(coarse, wavelet)
        enlarged = coarse.repeat_interleave(2**level, -1).repeat_interleave(2**level, -2)
        found.append(enlarged / 2**level)
    return found
