"""From files to systems that draw, and from systems to files that others read."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import lightning as L
import torch
from torch import Tensor, nn

from wavelight.configurations import shipped_experiment, shipped_experiments
from wavelight.models.denoising_gan import DISCRIMINATOR, GENERATOR
from wavelight.networks.published import differences, load_published
from wavelight.systems import ImageGenerator
from wavelight.systems.base import CONFIG_KEY
from wavelight.weights import (
    drawing_state,
    load_weights,
    read_checkpoint,
    read_safetensors,
    state_of,
    write_checkpoint,
    write_safetensors,
)

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def load(path: str | Path, averaged: bool = True) -> ImageGenerator:
    """Build the system of a checkpoint, ready to draw: ``wavelight.load("x.ckpt").sample(64, seed=0)``.

    Needs no configuration file, no data and no Trainer; nothing but tensors and plain values is
    unpickled.

    Args:
        path: A checkpoint of a run, or a ``.safetensors`` file that :func:`export` wrote.
        averaged: Whether the averaged weights are taken, not those that were learning.

    Returns:
        The system, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of wavelight.
    """
    path = Path(path)
    config = config_text(path)
    if not config:
        raise ValueError(
            f"{path} holds no configuration, as checkpoints of the command line do; build its system in Python and "
            "load its weights with wavelight.weights.load_weights"
        )
    system = system_from_config(config)
    load_weights(system, path, averaged)
    return system.eval()


def system_from_config(text: str) -> ImageGenerator:
    """Build the system that a resolved configuration describes.

    Args:
        text: YAML, with a section ``model``.
    """
    import yaml

    parser = _model_parser()
    config = parser.parse_object({"model": yaml.safe_load(text)["model"]})
    return parser.instantiate(config).model


def _model_parser() -> "ArgumentParser":
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageGenerator, "model")
    return parser


def experiment_config(name: str) -> str:
    """Return the configuration of the model and the data of an experiment that comes with the package.

    Args:
        name: The stem of its file, such as ``celeba256``.

    Returns:
        YAML, for :func:`system_from_config`, with every value of the model written out.

    Raises:
        ValueError: If there is no such experiment.
    """
    import yaml

    config = yaml.safe_load(shipped_experiment(name).read_text())
    model = config["model"]
    # The command line links these, see wavelight.cli.
    linked = {"image_size": config["data"]["image_size"], "seed": config["seed_everything"]}
    model["init_args"] |= linked
    parser = _model_parser()
    resolved = parser.dump(parser.parse_object({"model": model}), skip_unset=False)
    parts = {"seed_everything": linked["seed"], **yaml.safe_load(resolved), "data": config["data"]}
    return yaml.safe_dump(parts, sort_keys=False)


def from_published(
    source: str | Path | Mapping[str, Tensor], experiment: str, player: str = "generator"
) -> nn.Module:
    """Build a network of an experiment with weights that its authors, or DDGAN's, published.

    Args:
        source: A file ``netG_<epoch>.pth``, or the state dict in it; the ``module.`` before its
            names may stand. Nothing but tensors and plain values is unpickled.
        experiment: The stem of the experiment's file: ``celeba256``. Some experiments have equal
            networks (church's is celeba256's), whose files nothing tells apart.
        player: ``generator``, which is called ``(x, t, z)`` with t the index of the cleaner of the
            two images of a step, or ``discriminator``, which is called ``(x_t, t, x_{t+1})``.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such experiment or player, or if the weights are not those of its
            network; then it names the experiments whose they are.
    """
    system = system_from_config(experiment_config(experiment))
    return _load_player(system, experiment, player, source).eval()


def convert(source: Path, experiment: str, out: Path, discriminator: Path | None = None) -> None:
    """Write a checkpoint from published weights, for test, predict, sample, export and fit --ckpt_path.

    A training that is given the file starts anew from its weights: published files hold no
    optimizer's state.

    Args:
        source: A published generator, ``netG_<epoch>.pth``.
        experiment: The experiment that it was trained with, such as ``celeba256``, which also
            decides the order of the sub-bands. Another network is refused, but nothing tells church
            from celeba256, whose networks are equal.
        out: The file to write, ending in .ckpt.
        discriminator: The weights of the discriminator, under their published names; none leaves it
            untrained.
    """
    import yaml

    check_name(out)
    config = experiment_config(experiment)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(yaml.safe_load(config)["seed_everything"])
        system = system_from_config(config)
    if system.factorization.needs_statistics():
        raise ValueError(
            f"{experiment} scales bands by statistics of its data, which are not in {source}"
        )
    _load_player(system, experiment, GENERATOR, source)
    if discriminator is not None:
        _load_player(system, experiment, DISCRIMINATOR, discriminator)
    write_start(Path(out), system, config)


def check_name(out: Path) -> None:
    """Refuse a name for a checkpoint that does not end in .ckpt, before any work is done for it."""
    if Path(out).suffix != ".ckpt":
        raise ValueError(f"the file to write ends in .ckpt, which {out} does not")


def write_start(out: Path, system: ImageGenerator, config: str) -> None:
    """Write the weights of a system as a checkpoint that holds no run, but from which one can start.

    Args:
        out: The file to write, ending in .ckpt.
        system: The system.
        config: YAML from which :func:`system_from_config` builds it.
    """
    system.config_text = config
    checkpoint = {
        "state_dict": system.state_dict(),
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": L.__version__,
        # Without it, Lightning shows the file to no callback.
        "callbacks": {},
    }
    system.on_save_checkpoint(checkpoint)
    write_checkpoint(out, checkpoint)


def _load_player(
    system: ImageGenerator,
    experiment: str,
    player: str,
    source: str | Path | Mapping[str, Tensor],
) -> nn.Module:
    """Load published weights into a player of an experiment's system, and return its network."""
    players = _players(system)
    if player not in players:
        known = " and ".join(players) or "none"
        raise ValueError(f"{experiment} has no player {player!r} to load; it has {known}")
    if isinstance(source, Mapping):
        state, given = source, "the state dict"
    else:
        state, given = read_checkpoint(Path(source)), str(source)
    wrong = differences(players[player], state)
    if wrong:
        fitting = " or ".join(_fitting_experiments(player, state))
        others = f" and {len(wrong) - 1} more are" if len(wrong) > 1 else " is"
        raise ValueError(
            f"{given} is not the {player} of {experiment}: {wrong[0]!r}{others} missing, unknown "
            f"or of another shape; it fits {fitting or f'no {player} of the experiments that ship'}"
        )
    load_published(players[player], state)
    return players[player]


def _fitting_experiments(player: str, state: Mapping[str, Tensor]) -> list[str]:
    """Return the experiments that ship whose player has published tensors of these names and shapes."""
    with torch.device("meta"):
        networks = {
            name: _players(system_from_config(experiment_config(name))).get(player)
            for name in shipped_experiments()
        }
    return [
        name
        for name, network in networks.items()
        if network is not None and not differences(network, state)
    ]


def _players(system: ImageGenerator) -> dict[str, nn.Module]:
    """Return the networks of a system of one model by the names of its players; no other was published."""
    models = system.factor_models()
    if len(models) > 1:
        return {}
    return {name: player.network for name, player in models[0].players().items()}


def export(checkpoint: Path, out: Path, raw: bool = False) -> None:
    """Write the networks that draw images, and nothing else, as safetensors.

    A single generator's tensors have its own names, so that they load into the bare network; the
    file's header keeps the configuration, so that ``wavelight sample`` and ``wavelight.load`` read
    the file, too.

    Args:
        checkpoint: A checkpoint of a run.
        out: The file to write, ending in .safetensors.
        raw: Whether the weights that were learning are written, in place of their average.
    """
    if Path(out).suffix != ".safetensors":
        raise ValueError(f"the file to write ends in .safetensors, which {out} does not")
    system = load(checkpoint, averaged=not raw)
    write_safetensors(Path(out), drawing_state(system), {CONFIG_KEY: config_text(Path(checkpoint))})


def config_text(path: Path) -> str:
    """Return the configuration that a checkpoint or an exported file holds, as YAML; empty where it holds none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of wavelight.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)[1].get(CONFIG_KEY, "")
    checkpoint = read_checkpoint(path, mapped=True)
    state_of(checkpoint)
    return checkpoint.get(CONFIG_KEY, "")
