"""DDGAN: a denoising diffusion GAN on pixels."""

from functools import partial
from typing import Unpack

from wavelight.diffusion import FewStepDiffusion
from wavelight.factorizations.base import Pixels
from wavelight.models import DenoisingGAN, NetworkFactory, OptimizerFactory
from wavelight.systems.base import ImageGenerator, SystemOptions


class DDGAN(ImageGenerator):
    """Denoising diffusion GANs (Xiao, Kreis and Vahdat, 2022): few-step diffusion of pixels with an adversarial loss.

    It is what WaveDiff is compared with: no wavelet, and no reconstruction term in the generator's
    loss.

    Args:
        generator: Predicts clean images; sees ``channels`` of them at the image's side.
        discriminator: Scores pairs of neighbouring diffusion steps; sees ``2 * channels``.
        generator_optimizer: Makes the generator's optimizer.
        discriminator_optimizer: Makes the discriminator's optimizer.
        steps: Diffusion steps, and so generator evaluations an image takes.
        r1_gamma: Weight of the gradient penalty on real pairs; it multiplies half the squared norm.
        r1_every: Batches from one penalty to the next (lazy regularisation).
        **options: Those of every system.
    """

    def __init__(
        self,
        generator: NetworkFactory,
        discriminator: NetworkFactory,
        generator_optimizer: OptimizerFactory,
        discriminator_optimizer: OptimizerFactory,
        steps: int,
        r1_gamma: float,
        r1_every: int,
        **options: Unpack[SystemOptions],
    ) -> None:
        model = partial(
            DenoisingGAN,
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
            **options,
        )
