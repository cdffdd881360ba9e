"""WaveDiff: a denoising diffusion GAN on wavelet sub-bands."""

from pathlib import Path

from lightning.pytorch.cli import LRSchedulerCallable
from torch import nn

from wavelight.diffusion import FewStepDiffusion
from wavelight.factorizations.scaling import BandScaling
from wavelight.factorizations.subbands import Subbands
from wavelight.models import DenoisingGAN, OptimizerFactory
from wavelight.systems.base import ImageGenerator
from wavelight.wavelets import BandOrder


class WaveDiff(ImageGenerator):
    """Wavelet diffusion models (Phung, Dao and Tran, 2023): few-step diffusion of sub-bands with an adversarial loss.

    Args:
        generator: Predicts clean sub-bands; sees ``4**levels * channels`` of them at the image's
            side divided by ``2**levels``.
        discriminator: Judges pairs of neighbouring diffusion steps, as many sub-bands each.
        generator_optimizer: Makes the generator's optimizer.
        discriminator_optimizer: Makes the discriminator's optimizer.
        image_size: Side of the images, in pixels; on the command line it follows the data's.
        seed: Seed of all noise; on the command line it follows ``seed_everything``.
        steps: Diffusion steps, and so generator evaluations an image takes.
        r1_gamma: Weight of the gradient penalty on real pairs; it multiplies half the squared norm.
        r1_every: Batches from one penalty to the next (lazy regularisation).
        reconstruction_weight: Weight of the mean absolute error of the predicted sub-bands; 1 as
            published.
        wavelet: The wavelet of the sub-bands, by PyWavelets' name.
        band_order: The order of the detail bands; it matters only to weights that were trained with
            it.
        levels: How often the wavelet halves the image; once as published.
        scaling: How bands are scaled; none divides by 2 per level, as published, which keeps those
            of Haar in [-1, 1]. For other wavelets take ``Peak``, or a generator with
            ``bounded: false``.
        channels: Channels of the images.
        scheduler: Makes the schedule of both learning rates, stepped once an epoch; none keeps the
            rates.
        accumulate_grad_batches: Into how many parts each device's share of a batch is cut to save memory.
        gradient_clip_val: Largest norm of a player's gradient; none does not clip, as published.
        start_from: Weights that a new run starts from (fine-tuning): a checkpoint, an exported or a
            published generator.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        image_size: int,
        seed: int,
        steps: int,
        r1_gamma: float,
        r1_every: int,
        reconstruction_weight: float = 1.0,
        wavelet: str = "haar",
        band_order: BandOrder = BandOrder.PYTORCH_WAVELETS,
        levels: int = 1,
        scaling: BandScaling | None = None,
        channels: int = 3,
        scheduler: LRSchedulerCallable | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        start_from: Path | None = None,
    ) -> None:
        model = DenoisingGAN(
            generator=generator,
            discriminator=discriminator,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            diffusion=FewStepDiffusion(steps),
            r1_gamma=r1_gamma,
            r1_every=r1_every,
            reconstruction_weight=reconstruction_weight,
        )
        super().__init__(
            factorization=Subbands(wavelet, band_order, scaling, channels, levels),
            models=[model],
            image_size=image_size,
            seed=seed,
            channels=channels,
            scheduler=scheduler,
            accumulate_grad_batches=accumulate_grad_batches,
            gradient_clip_val=gradient_clip_val,
            start_from=start_from,
        )
