"""``wavelight convert``: a checkpoint from published weights."""

from pathlib import Path

import torch

from wavelight.checkpoints.loading import system_from_config
from wavelight.checkpoints.published import experiment_config, load_player
from wavelight.checkpoints.writing import check_name, write_start
from wavelight.models.denoising_gan import DISCRIMINATOR, GENERATOR


def convert(weights: Path, experiment: str, out: Path, discriminator: Path | None = None) -> None:
    """Write a checkpoint from published weights, for test, predict, sample, export and fit --ckpt_path.

    A training that is given the file starts anew from its weights: published files hold no
    optimizer's state.

    Args:
        weights: A published generator, ``netG_<epoch>.pth``.
        experiment: The experiment that it was trained with, such as ``celeba256``, which also
            decides the order of the sub-bands. Another network is refused, but nothing tells church
            from celeba256, whose networks are equal.
        out: The file to write, ending in .ckpt.
        discriminator: The published discriminator, ``netD_<epoch>.pth``; by default it is left untrained.
    """
    import yaml

    check_name(out)
    config = experiment_config(experiment)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(yaml.safe_load(config)["seed_everything"])
        system = system_from_config(config)
    if system.factorization.needs_statistics():
        raise ValueError(
            f"{experiment} scales bands by statistics of its data, which {weights} does not "
            "hold: choose an experiment with fixed scales"
        )
    load_player(system, experiment, GENERATOR, weights)
    if discriminator is not None:
        load_player(system, experiment, DISCRIMINATOR, discriminator)
    write_start(Path(out), system, config)
