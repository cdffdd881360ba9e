"""Small systems of every kind, trained for ten batches on any number of processes, in parts or whole."""

import os
import socket
from functools import partial
from unittest.mock import patch

import lightning as L
import torch
from torch import distributed, multiprocessing

from data_modules import Scenes, WaveletDataModule
from tests.systems import (
    NETWORK,
    consistency_model,
    detail_gan,
    distributional,
    mean_flow,
    regression,
    score_model,
    scoring,
    tiny_ddgan,
    tiny_hybrid,
    tiny_sgm,
    tiny_wsgm,
    unnormalized_gan,
)
from tests.tiny import tiny_system, tiny_trainer
from wavelight.callbacks.ema import ema_weights
from wavelight.factorizations import Eigenbasis, PerChannel
from wavelight.losses import BoundedCriticLoss, RpGANLoss
from wavelight.networks import GroupedDiscriminator, GroupedUNet, LargeDiscriminator
from wavelight.training import capabilities

BATCH = 16
"""Images: 4 processes x 4 parts, of whole groups."""

EPOCHS, BATCHES_AN_EPOCH = 2, 5

# Steepest descent, since Adam would make whole steps of what is rounding in gradients that are nearly zero.
SGD = partial(torch.optim.SGD, lr=0.05)
PLAYERS = {"generator_optimizer": SGD, "discriminator_optimizer": SGD}
# Its logits depend on the minibatch standard deviation from the start, unlike those of small images.
COMPARING = partial(LargeDiscriminator, width=4)
SLOW = partial(torch.optim.SGD, lr=0.005)
DENOISING = {
    "r1_gamma": 1.0,
    "generator_optimizer": SGD,
    "discriminator_optimizer": SLOW,
    "scheduler": None,
}
# Weights of 1, where 20 of the squared error is more than such steps can bear.
MILD = {"mse_weight": 1.0, "adversarial_weight": 1.0}
SCORES = partial(score_model, optimizer=SGD)
FORGETFUL = partial(NETWORK, dropout=0.2)
UNNORMALIZED = partial(GroupedUNet, width=8, multipliers=[1, 1], blocks=1)


def hybrid(details, **changes):
    return tiny_hybrid(coarse=SCORES(steps=2), details=details, **changes)


def modern_gan():
    discriminator = partial(GroupedDiscriminator, width=8, multipliers=[1, 1], blocks=1)
    generator = partial(UNNORMALIZED, noise_channels=2)
    return detail_gan(
        generator=generator,
        discriminator=discriminator,
        adversarial_loss=RpGANLoss(0.1),
        discriminator_every=1,
        **MILD,
        **PLAYERS,
    )


PLAIN_REGRESSION = partial(UNNORMALIZED, noise_channels=0)
WHOLE = {
    "hybrid_gano": lambda **changes: hybrid(detail_gan(**MILD, **PLAYERS), **changes),
    "hybrid_bounded_critic": lambda **changes: hybrid(
        detail_gan(adversarial_loss=BoundedCriticLoss(), **MILD, **PLAYERS), **changes
    ),
    "hybrid_regression": lambda **changes: hybrid(
        partial(regression(), generator_optimizer=SGD, mse_weight=1.0), **changes
    ),
}
"""Systems with batch normalization, whose batches stay whole."""

SYSTEMS = WHOLE | {
    "wavediff": partial(tiny_system, **DENOISING, discriminator=partial(COMPARING, blocks=2)),
    "ddgan": partial(tiny_ddgan, **DENOISING, discriminator=partial(COMPARING, blocks=3)),
    "sgm": lambda **changes: tiny_sgm(model=SCORES(network=FORGETFUL), **changes),
    "wsgm": lambda **changes: tiny_wsgm(
        coarse=SCORES(steps=4), details=[SCORES(network=FORGETFUL), SCORES()], **changes
    ),
    "hybrid_unnormalized": lambda **changes: hybrid(unnormalized_gan(**MILD, **PLAYERS), **changes),
    "hybrid_unnormalized_regression": lambda **changes: hybrid(
        partial(regression(), generator=PLAIN_REGRESSION, generator_optimizer=SGD, mse_weight=1.0),
        **changes,
    ),
    "hybrid_scoring": lambda **changes: hybrid(
        partial(scoring(), generator_optimizer=SGD),
        scaling=PerChannel(),
        detail_scaling=Eigenbasis(),
        **changes,
    ),
    "few_steps": lambda **changes: tiny_wsgm(
        coarse=partial(mean_flow(), optimizer=SGD),
        details=[
            partial(distributional(), optimizer=SGD),
            partial(consistency_model(), optimizer=SLOW),
        ],
        **changes,
    ),
    "hybrid_modern": lambda **changes: hybrid(modern_gan(), share_details=False, **changes),
}


class Curves(L.Callback):
    """Notes what is logged of every batch."""

    def __init__(self):
        self.batches = []

    def on_train_batch_end(self, trainer, pl_module, *rest):
        logged = trainer.callback_metrics
        losses = {key: value.clone() for key, value in logged.items() if key.startswith("train/")}
        self.batches.append(losses)


def start(name):
    """Return the tensors from which a system starts."""
    return SYSTEMS[name]().state_dict()


def learn(folder, name, accumulate=1, **options):
    """Train a system in a folder, and return its curves, tensors and averaged tensors."""
    system = SYSTEMS[name](accumulate_grad_batches=accumulate)
    curves = Curves()
    options |= {"max_epochs": EPOCHS, "limit_train_batches": BATCHES_AN_EPOCH}
    # Where rounding decides on which side of zero a rectifier's input is, batch normalization makes much of it; of
    # float64 it hardly ever does.
    precision = "64-true" if name in WHOLE else "32-true"
    # Runs of users may not have it.
    with patch.object(capabilities, "_PRECISIONS", ("32-true", "64-true")):
        trainer = tiny_trainer(folder, curves, precision=precision, **options)
    data = WaveletDataModule(
        Scenes(images=64), 16, batch_size=BATCH, seed=3, num_workers=0, cache_dir=folder
    )
    trainer.fit(system, datamodule=data)
    tensors = {key: value.clone() for key, value in system.state_dict().items()}
    with ema_weights(trainer, system):
        averaged = {key: value.clone() for key, value in system.state_dict().items()}
    return {"losses": curves.batches, "tensors": tensors, "averaged": averaged}


def learn_together(folder, processes, cases):
    """Train systems on several processes, and return what each process has learnt, by case.

    Args:
        folder: Where runs are put.
        processes: Their number.
        cases: Names of systems, and into how many parts each process cuts its share of a batch.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    arguments = (processes, port, folder, cases)
    multiprocessing.spawn(_learn_cases, arguments, nprocs=processes)
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(processes)]


def _learn_cases(rank, processes, port, folder, cases):
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        # By this Lightning knows that processes are started already.
        "TORCHELASTIC_RUN_ID": "tests",
    }
    torch.set_num_threads(1)
    found = {}
    for name, accumulate in cases:
        run = folder / f"{name}{accumulate}of{processes}"
        found[name, accumulate] = learn(run, name, accumulate, devices=processes, strategy="ddp")
    torch.save(found, folder / f"rank{rank}.pt")
    distributed.destroy_process_group()
