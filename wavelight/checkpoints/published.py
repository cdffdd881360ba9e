"""Networks of the experiments with published weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from wavelight.checkpoints.loading import experiment_parser, system_from_config
from wavelight.config.experiments import shipped_experiment, shipped_experiments
from wavelight.networks.published import differences, load_published
from wavelight.systems import ImageGenerator
from wavelight.weights import read_checkpoint


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

    from wavelight.config.bases import chain, content_of

    parser = experiment_parser()
    words: list[str] = []
    for part in chain(shipped_experiment(name)):
        content = content_of(part)
        kept = {key: content[key] for key in ("seed_everything", "model", "data") if key in content}
        words += ["--config", yaml.safe_dump(kept)]
    return parser.dump(parser.parse_args(words), skip_link_targets=False, skip_unset=False)


def from_published(
    source: str | Path | Mapping[str, Tensor], experiment: str, player: str = "generator"
) -> nn.Module:
    """Build a network of an experiment with weights that its authors, or DDGAN's, published.

    Args:
        source: A file ``netG_<epoch>.pth``, or the state dict in it; the ``module.`` before its
            names may stand. Nothing but tensors and plain values is unpickled.
        experiment: The stem of the experiment's file: ``celeba256``. Some experiments have equal
            networks (church's is celeba256's), whose files cannot be told apart.
        player: ``generator``, which is called ``(x, t, z)`` with t the index of the cleaner of the
            two images of a step, or ``discriminator``, which is called ``(x_t, t, x_{t+1})``.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such experiment or player, or if the weights are not those of its
            network; the message names the experiments that they fit.
    """
    system = system_from_config(experiment_config(experiment))
    return load_player(system, experiment, player, source).eval()


def load_player(
    system: ImageGenerator,
    experiment: str,
    player: str,
    source: str | Path | Mapping[str, Tensor],
) -> nn.Module:
    """Load published weights into a player of an experiment's system, and return its network."""
    players = _players(system)
    if player not in players:
        known = " or ".join(players) or "none"
        raise ValueError(f"player must be {known} for {experiment}, got {player!r}")
    if isinstance(source, Mapping):
        state, given = source, "the state dict"
    else:
        state, given = read_checkpoint(Path(source)), str(source)
    wrong = differences(players[player], state)
    if wrong:
        fitting = " or ".join(_fitting_experiments(player, state))
        others = f" and {len(wrong) - 1} more are" if len(wrong) > 1 else " is"
        raise ValueError(
            f"{given} does not fit the {player} of {experiment}: {wrong[0]!r}{others} missing, "
            f"unknown or of another shape; it fits {fitting or f'no {player} of the experiments that ship'}"
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
