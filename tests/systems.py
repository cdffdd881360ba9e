"""Systems small enough for a test, one constructor each."""

from functools import partial

import torch

from data_modules import GaussianFields, WaveletDataModule
from tests.plain_discriminator import PlainDiscriminator
from wavelight.diffusion import FewStepDiffusion
from wavelight.diffusion.noise_level_sampling import LogNormalSigma
from wavelight.diffusion.parameterizations import Preconditioned
from wavelight.diffusion.processes import VarianceExploding
from wavelight.diffusion.samplers import heun
from wavelight.diffusion.schedules import Karras, Uniform
from wavelight.factorizations.scaling import Half
from wavelight.factorizations.views import Channels, HalfWhitened, ShiftedPackets
from wavelight.losses import NonSaturatingLoss
from wavelight.models import (
    ConsistencyModel,
    DenoisingGAN,
    DetailGAN,
    DetailRegression,
    DetailScoring,
    DistributionalDiffusion,
    MeanFlow,
    ScoreModel,
)
from wavelight.networks import (
    AttentionGateUNet,
    Autoencoder,
    GroupedUNet,
    ImprovedUNet,
    LateNoiseUNet,
    NCSNpp,
    ResidualDiscriminator,
    SmallDiscriminator,
)
from wavelight.systems import DDGAN, LDM, SGM, WSGM, Hybrid, WaveletDiffusion

TINY_NCSNPP = partial(
    NCSNpp, width=16, multipliers=[1], attention_resolutions=[], mapping_layers=1, blocks=1
)
TINY_DISCRIMINATOR = partial(SmallDiscriminator, width=4, blocks=3)

NETWORK = partial(
    ImprovedUNet, width=16, multipliers=[1], attention_resolutions=[], blocks=1, heads=1
)


def score_model(steps=3, **changes):
    """Return what builds a score model of any factor."""
    options = {
        "network": NETWORK,
        "optimizer": partial(torch.optim.Adam, lr=1e-3),
        "process": VarianceExploding(),
        "parameterization": Preconditioned(),
        "noise_level_sampling": LogNormalSigma(),
        "sampler": heun,
        "schedule": Karras(),
        "steps": steps,
    }
    return partial(ScoreModel, **(options | changes))


def mean_flow(steps=2):
    """Return what builds a MeanFlow of any factor."""
    return partial(
        MeanFlow,
        network=partial(NETWORK, two_times=True),
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        noise_level_sampling=LogNormalSigma(0.0, 1.0),
        schedule=Uniform(),
        steps=steps,
    )


def consistency_model(steps=2):
    """Return what builds a consistency model of any factor."""
    return partial(
        ConsistencyModel,
        network=NETWORK,
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        process=VarianceExploding(),
        noise_level_sampling=LogNormalSigma(),
        schedule=Karras(0.8, 80.0),
        steps=steps,
        stage_batches=2,
    )


def distributional(steps=2, network=NETWORK):
    """Return what builds a distributional diffusion of any factor."""
    return partial(
        DistributionalDiffusion,
        network=network,
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        process=VarianceExploding(),
        noise_level_sampling=LogNormalSigma(),
        schedule=Karras(0.1, 80.0),
        steps=steps,
        views=[Channels(), ShiftedPackets(levels=1, joint=True)],
    )


def scoring():
    """Return what builds a model of details by scoring rules."""
    return partial(
        DetailScoring,
        generator=partial(LateNoiseUNet, width=8, multipliers=[1, 2], attention_resolutions=[]),
        generator_optimizer=partial(torch.optim.Adam, lr=1e-3),
        views=[Channels(), HalfWhitened(), ShiftedPackets(levels=1)],
    )


def tiny_sgm(**changes):
    torch.manual_seed(0)
    return SGM(**({"model": score_model(), "image_size": 16, "seed": 3} | changes))


def tiny_wavelet_diffusion(**changes):
    torch.manual_seed(0)
    return WaveletDiffusion(**({"model": score_model(), "image_size": 16, "seed": 3} | changes))


TINY_AUTOENCODER = partial(Autoencoder, latent_channels=4, width=8, multipliers=[1, 1])


def tiny_ldm(**changes):
    """Latent diffusion, whose autoencoder is not trained."""
    torch.manual_seed(0)
    options = {"model": score_model(), "autoencoder": TINY_AUTOENCODER, "image_size": 16, "seed": 3}
    return LDM(**(options | changes))


def tiny_wsgm(**changes):
    torch.manual_seed(0)
    models = {
        "coarse": score_model(steps=4),
        "details": [score_model(steps=2), score_model()],
        "levels": 2,
    }
    return WSGM(**(models | {"image_size": 16, "seed": 3} | changes))


def tiny_fields(**changes):
    """An SGM of fields without bounds, 8 pixels."""
    torch.manual_seed(0)
    options = {"model": score_model(), "image_size": 8, "seed": 3, "channels": 1}
    return SGM(**(options | {"bounded": False} | changes))


def field_data(folder):
    return WaveletDataModule(
        GaussianFields(64, eta=1.0),
        8,
        batch_size=8,
        seed=3,
        num_workers=0,
        cache_dir=folder / "cache",
    )


ADAM = partial(torch.optim.Adam, lr=1e-3)


def detail_gan(**changes):
    options = {
        "generator": partial(AttentionGateUNet, width=4, noise_channels=3, pools=1),
        # It drops half of its last features in training.
        "discriminator": partial(ResidualDiscriminator, width=4, blocks=2, conditional=True),
        "generator_optimizer": ADAM,
        "discriminator_optimizer": ADAM,
        "adversarial_loss": NonSaturatingLoss(0.1, 2),
        "adversarial_weight": 0.1,
        "mse_weight": 20.0,
        "ssim_weight": 0.5,
        "discriminator_every": 3,
    }
    return partial(DetailGAN, **(options | changes))


def unnormalized_gan(**changes):
    """Return what builds a detail GAN without batch normalization, for levels of every size."""
    generator = partial(GroupedUNet, width=8, multipliers=[1, 1], noise_channels=2, blocks=1)
    options = {"generator": generator, "discriminator": partial(PlainDiscriminator, width=8)}
    return detail_gan(**(options | changes))


def regression():
    return partial(
        DetailRegression,
        generator=partial(AttentionGateUNet, width=4, noise_channels=0, pools=1),
        generator_optimizer=ADAM,
        mse_weight=20.0,
        ssim_weight=0.5,
    )


def denoising_gan():
    return partial(
        DenoisingGAN,
        generator=TINY_NCSNPP,
        discriminator=TINY_DISCRIMINATOR,
        generator_optimizer=ADAM,
        discriminator_optimizer=ADAM,
        diffusion=FewStepDiffusion(2),
        r1_gamma=0.1,
        r1_every=2,
        reconstruction_weight=1.0,
    )


def tiny_hybrid(**changes):
    """One generator for two levels, of images of 16 pixels."""
    torch.manual_seed(0)
    options = {
        "coarse": score_model(steps=2),
        "details": detail_gan(),
        "share_details": True,
        "levels": 2,
        "image_size": 16,
        "seed": 3,
        "scaling": Half(),
    }
    return Hybrid(**(options | changes))


def tiny_ddgan(**changes):
    torch.manual_seed(0)
    adam = partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))
    options = {
        "generator": TINY_NCSNPP,
        "discriminator": TINY_DISCRIMINATOR,
        "generator_optimizer": adam,
        "discriminator_optimizer": adam,
        "image_size": 16,
        "seed": 3,
        "steps": 2,
        "r1_gamma": 0.1,
        "r1_every": 3,
        "scheduler": partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=3),
    }
    return DDGAN(**(options | changes))
