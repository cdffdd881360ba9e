"""State dicts under the names of the published WaveDiff and DDGAN checkpoints, in and out."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

_PREFIX = "module."


def published_name(network: nn.Module, key: str) -> str:
    """Return the published name of a parameter.

    A module whose parts are called otherwise says so in a mapping ``published_names``, from our
    names to the published.

    Args:
        network: A network with published weights: a generator or a discriminator.
        key: Our name of one of its parameters, a key of its state dict.
    """
    return _published_names(network, [key])[key]


def _published_names(module: nn.Module, keys: list[str]) -> dict[str, str]:
    """Return the published names of many parameters, by ours; one by one it would take seconds."""
    names: Mapping[str, str] = getattr(module, "published_names", {})
    within: dict[str, list[str]] = {}
    for key in keys:
        own = next((name for name in names if f"{key}.".startswith(f"{name}.")), None)
        part = key.partition(".")[0] if own is None else own
        within.setdefault(part, []).append(key[len(part) + 1 :])
    found = {}
    for part, rests in within.items():
        name = names.get(part, part)
        if rests == [""]:
            found[part] = name
        else:
            inner = _published_names(module.get_submodule(part), rests)
            found |= {f"{part}.{ours}": f"{name}.{theirs}" for ours, theirs in inner.items()}
    return found


def published_state(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's state dict under the published names."""
    state = network.state_dict()
    return {theirs: state[ours] for ours, theirs in _published_names(network, list(state)).items()}


def without_prefix(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a published state dict without the ``module.`` that distributed training puts before every name.

    Raises:
        ValueError: If it holds anything but tensors.
    """
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(
                f"a published state dict must hold tensors only, got {type(value).__name__} for "
                f"{name!r}: export the state dict alone"
            )
    # All of them or none, so that no two names become one.
    prefix = _PREFIX if all(name.startswith(_PREFIX) for name in state) else ""
    return {name.removeprefix(prefix): value for name, value in state.items()}


def differences(network: nn.Module, state: Mapping[str, Any]) -> list[str]:
    """Return the published names of the tensors that a network and a published state dict do not share.

    They are missing in the one or the other, or of another shape.

    Args:
        network: The network; it may be on the meta device.
        state: As :func:`load_published` takes it.
    """
    given, wanted = without_prefix(state), published_state(network)
    return sorted(
        name
        for name in given.keys() | wanted.keys()
        if name not in given or name not in wanted or given[name].shape != wanted[name].shape
    )


def load_published(network: nn.Module, state: Mapping[str, Any]) -> None:
    """Load a published state dict into a network.

    Args:
        network: The network, built with the values that the weights were trained with.
        state: Weights under the published names; the ``module.`` that distributed training puts
            before them may stand.

    Raises:
        ValueError: If the names or shapes are not those of the network.
    """
    wrong = differences(network, state)
    if wrong:
        raise ValueError(
            f"the weights do not fit {type(network).__name__}: {len(wrong)} of its "
            f"{len(network.state_dict())} tensors are missing, unknown or of another shape, the "
            f"first {wrong[0]!r}: check the options of the network"
        )
    given = without_prefix(state)
    names = _published_names(network, list(network.state_dict()))
    network.load_state_dict({ours: given[theirs] for ours, theirs in names.items()})
