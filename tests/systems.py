"""Systems small enough for a test, one constructor each."""

from functools import partial

import torch

from data_modules import GaussianFields, WaveletDataModule
from wavelight.diffusion import FewStepDiffusion
from wavelight.diffusion.noise_level_sampling import LogNormalSigma
from wavelight.diffusion.parameterizations import Preconditioned
from wavelight.diffusion.processes import VarianceExploding
from wavelight.diffusion.samplers import heun
from wavelight.diffusion.schedules import Karras
from wavelight.factorizations.scaling import Half
from wavelight.losses import NonSaturatingLoss
from wavelight.models import DenoisingGAN, DetailGAN, DetailRegression, ScoreModel
from wavelight.networks import (
    AttentionGateUNet,
    ImprovedUNet,
    NCSNpp,
    ResidualDiscriminator,
    SmallDiscriminator,
)
from wavelight.systems import DDGAN, SGM, WSGM, Hybrid


def score_model(resolution, channels, condition_channels=0, steps=3, **changes):
    network = ImprovedUNet(
        resolution, channels, 16, [1], [], blocks=1, heads=1, condition_channels=condition_channels
    )
    options = {
        "network": network,
        "optimizer": partial(torch.optim.Adam, lr=1e-3),
        "process": VarianceExploding(),
        "parameterization": Preconditioned(),
        "noise_level_sampling": LogNormalSigma(),
        "sampler": heun,
        "schedule": Karras(),
        "steps": steps,
    }
    return ScoreModel(**(options | changes))


def tiny_sgm(**changes):
    torch.manual_seed(0)
    return SGM(**({"model": score_model(16, 3), "image_size": 16, "seed": 3} | changes))


def tiny_wsgm(**changes):
    torch.manual_seed(0)
    models = {
        "coarse": score_model(4, 3, steps=4),
        "details": [score_model(4, 9, 3, steps=2), score_model(8, 9, 3)],
    }
    return WSGM(**(models | {"image_size": 16, "seed": 3} | changes))


def tiny_fields(**changes):
    """An SGM of fields without bounds, 8 pixels."""
    torch.manual_seed(0)
    options = {"model": score_model(8, 1), "image_size": 8, "seed": 3, "channels": 1}
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
        "generator": AttentionGateUNet(9, 4, 3, 3, pools=1),
        # It drops half of its last features, and so samples from PyTorch's own generator.
        "discriminator": ResidualDiscriminator(3, 4, 2, condition_channels=3),
        "generator_optimizer": ADAM,
        "discriminator_optimizer": ADAM,
        "adversarial_loss": NonSaturatingLoss(0.1, 2),
        "adversarial_weight": 0.1,
        "mse_weight": 20.0,
        "ssim_weight": 0.5,
        "discriminator_every": 3,
    }
    return DetailGAN(**(options | changes))


def regression():
    return DetailRegression(AttentionGateUNet(9, 4, 3, 0, pools=1), ADAM, 20.0, 0.5)


def denoising_gan():
    generator = NCSNpp(4, 3, 16, [1], [], mapping_layers=1, blocks=1)
    judge = SmallDiscriminator(3, 4, blocks=3)
    return DenoisingGAN(generator, judge, ADAM, ADAM, FewStepDiffusion(2), 0.1, 2, 1.0)


def tiny_hybrid(**changes):
    """One generator for two levels, of images of 16 pixels."""
    torch.manual_seed(0)
    options = {
        "coarse": score_model(4, 3, steps=2),
        "details": [detail_gan()],
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
        "generator": NCSNpp(16, 3, 16, [1], [], 1, blocks=1),
        "discriminator": SmallDiscriminator(3, 4, 3),
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
