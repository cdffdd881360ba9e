"""DDGAN: a denoising diffusion GAN on pixels."""

from pathlib import Path

from lightning.pytorch.cli import LRSchedulerCallable
from torch import nn

from wavelight.diffusion import FewStepDiffusion
from wavelight.factorizations.base import Pixels
from wavelight.models import DenoisingGAN, OptimizerFactory
from wavelight.systems.base import ImageGenerator


class DDGAN(ImageGenerator):
    """Denoising diffusion GANs (Xiao, Kreis and Vahdat, 2022): few-step diffusion of pixels with an adversarial loss.

    It is what WaveDiff is compared with: no wavelet, and no reconstruction term in the generator's
    loss.

    Args:
        generator: Predicts clean images; sees ``channels`` of them at the image's side.
        discriminator: Judges pairs of neighbouring diffusion steps; sees ``2 * channels``.
        generator_optimizer: Makes the generator's optimizer.
        discriminator_optimizer: Makes the discriminator's optimizer.
        image_size: Side of the images, in pixels; on the command line it follows the data's.
        seed: Seed of all noise; on the command line it follows ``seed_everything``.
        steps: Diffusion steps, and so generator evaluations an image takes.
        r1_gamma: Weight of the gradient penalty on real pairs; it multiplies half the squared norm.
        r1_every: Batches from one penalty to the next (lazy regularisation).
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
            reconstruction_weight=0.0,
        )
        super().__init__(
            factorization=Pixels(),
            models=[model],
            image_size=image_size,
            seed=seed,
            channels=channels,
            scheduler=scheduler,
            accumulate_grad_batches=accumulate_grad_batches,
            gradient_clip_val=gradient_clip_val,
            start_from=start_from,
        )
