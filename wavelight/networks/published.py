"""State dicts under the names of the published WaveDiff and DDGAN checkpoints, in and out."""

from collections.abc import Mapping

from torch import Tensor, nn


def published_name(network: nn.Module, key: str) -> str:
    """Return the published name of a parameter.

    A module whose parts are called otherwise says so in a mapping ``published_names``, from our
    names to the published.

    Args:
        network: A network with published weights: a generator or a discriminator.
        key: Our name of one of its parameters, a key of its state dict.
    """
    names: Mapping[str, str] = getattr(network, "published_names", {})
    part = next((name for name in names if f"{key}.".startswith(f"{name}.")), key.partition(".")[0])
    name, rest = names.get(part, part), key[len(part) + 1 :]
    return f"{name}.{published_name(network.get_submodule(part), rest)}" if rest else name


def published_state(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's state dict under the published names."""
    return {published_name(network, key): value for key, value in network.state_dict().items()}


def load_published(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a published state dict into a network.

    Args:
        network: The network, built with the values that the weights were trained with.
        state: Weights under the published names; the ``module.`` that distributed training puts
            before them may stand.

    Raises:
        ValueError: If the names or shapes are not those of the network.
    """
    given = {name.removeprefix("module."): value for name, value in state.items()}
    wanted = published_state(network)
    wrong = sorted(
        name
        for name in given.keys() | wanted.keys()
        if name not in given or name not in wanted or given[name].shape != wanted[name].shape
    )
    if wrong:
        raise ValueError(
            f"the weights are not those of this {type(network).__name__}: "
            f"{len(wrong)} of its {len(wanted)} tensors are missing, unknown or of another shape, "
            f"the first {wrong[0]!r}; check the values it is built with"
        )
    network.load_state_dict(
        {key: given[published_name(network, key)] for key in network.state_dict()}
    )
