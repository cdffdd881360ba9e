"""Cost of sampling an image, counted and not declared: evaluations, MACs and parameters of each network."""

import copy
from typing import Any, NamedTuple

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from wavelight.factors import Condition
from wavelight.systems import ImageGenerator

_META = torch.device("meta")


class NetworkCalls(NamedTuple):
    """All calls of a network, while a batch is generated, whose inputs have the same shapes."""

    inputs: tuple[Tensor | Condition, ...]
    """Without values: on the meta device."""

    times: int
    macs: int
    """MACs of one call."""


class NetworkCost(NamedTuple):
    """Share of one network in the cost of sampling one image."""

    name: str
    """As its parameters have it in a state dict."""

    parameters: int
    evaluations: int
    """Number of its calls while an image is sampled."""

    macs: int
    """MACs of all its calls together."""


def cost(system: ImageGenerator) -> list[NetworkCost]:
    """Count what sampling one image costs, network by network, in the order of ``system.sampling_networks()``.

    A MAC is half of what :class:`torch.utils.flop_counter.FlopCounterMode` counts: the
    products of convolutions, linear layers and attention, whatever device samples, and nothing
    elementwise (noise, normalization, wavelets). A network that samples several factors is counted
    once, under its first name.

    Args:
        system: Any system, outside a Trainer; its weights and values are not touched.
    """
    networks = _distinct_networks(system)
    return [
        NetworkCost(
            name,
            sum(parameter.numel() for parameter in networks[name].parameters()),
            sum(call.times for call in calls),
            sum(call.times * call.macs for call in calls),
        )
        for name, calls in network_calls(system, images=1).items()
    ]


def network_calls(system: ImageGenerator, images: int) -> dict[str, list[NetworkCalls]]:
    """Sample a batch with networks on the meta device, which takes no memory and little time, and note their calls.

    Args:
        system: Any system, outside a Trainer; its weights and values are not touched.
        images: How many are generated at once.

    Returns:
        The calls of each network, by its name in ``system.sampling_networks()``.
    """
    without_values: dict[int, Any] = {
        id(parameter): nn.Parameter(parameter.detach().to(_META))
        for parameter in system.parameters()
    }
    sampler = copy.deepcopy(system, without_values).eval()
    watches = {name: _Watch(network) for name, network in _distinct_networks(sampler).items()}
    if sampler.factorization.wavelet == "haar":
        # Other wavelets need autocast, of which the meta device has none.
        sampler.to(_META)
    sampler.generate(torch.arange(images), seed=0)
    return {name: list(watch.seen.values()) for name, watch in watches.items()}


class _Watch:
    """Takes the place of a network's ``forward``: notes its calls, and returns zeros of the right shape.

    A chain of a thousand steps evaluates the network once.

    Args:
        network: A copy, which moves to the meta device.
    """

    def __init__(self, network: nn.Module) -> None:
        self.seen: dict[Any, NetworkCalls] = {}
        self._outputs: dict[Any, Tensor] = {}
        self._forward = network.to(_META).forward
        network.forward = self

    def __call__(self, x: Tensor, *others: Tensor | Condition) -> Tensor:
        """Return zeros where the inputs are."""
        inputs = (x, *others)
        kind = apply_to_collection(inputs, Tensor, lambda value: (value.shape, value.dtype))
        if kind not in self.seen:
            self._evaluate(kind, apply_to_collection(inputs, Tensor, lambda value: value.to(_META)))
        seen = self.seen[kind]
        self.seen[kind] = seen._replace(times=seen.times + 1)
        return torch.zeros_like(self._outputs[kind], device=x.device)

    def _evaluate(self, kind: Any, inputs: tuple[Tensor | Condition, ...]) -> None:
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self._outputs[kind] = self._forward(*inputs)
        self.seen[kind] = NetworkCalls(inputs, 0, counter.get_total_flops() // 2)


def _distinct_networks(system: ImageGenerator) -> dict[str, nn.Module]:
    first_names: dict[int, str] = {}
    networks = system.sampling_networks()
    for name, network in networks.items():
        first_names.setdefault(id(network), name)
    return {name: networks[name] for name in first_names.values()}
