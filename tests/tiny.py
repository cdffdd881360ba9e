"""A run small enough for a test: a WaveDiff of a few thousand weights on 16-pixel scenes."""

from functools import partial
from pathlib import Path

import torch

from data_modules import Scenes, WaveletDataModule
from wavelight.callbacks import ExponentialMovingAverage, LastCheckpoint
from wavelight.networks import NCSNpp, SmallDiscriminator
from wavelight.systems import WaveDiff
from wavelight.training.trainer import Trainer

BATCHES_AN_EPOCH = 4


def tiny_system(**changes):
    torch.manual_seed(0)
    adam = partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))
    options = {
        "generator": partial(
            NCSNpp,
            width=16,
            multipliers=[1],
            attention_resolutions=[],
            mapping_layers=1,
            blocks=1,
        ),
        "discriminator": partial(SmallDiscriminator, width=4, blocks=3),
        "generator_optimizer": adam,
        "discriminator_optimizer": adam,
        "image_size": 16,
        "seed": 3,
        "steps": 2,
        "r1_gamma": 0.1,
        "r1_every": 3,
        "scheduler": partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=3),
    }
    return WaveDiff(**(options | changes))


def tiny_data(**changes):
    options = {"batch_size": 8, "seed": 3, "num_workers": 0, "val_images": 4, "eval_batch_size": 4}
    return WaveletDataModule(Scenes(), 16, **(options | changes))


def tiny_trainer(folder: Path, *callbacks, every_n_batches=None, **changes):
    options = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 3,
        "limit_train_batches": BATCHES_AN_EPOCH,
        "limit_val_batches": 0,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": str(folder),
    }
    standard = [ExponentialMovingAverage(0.9), LastCheckpoint(every_n_batches)]
    return Trainer(callbacks=[*standard, *callbacks], **(options | changes))
