"""The plain NCSN++ generator equals the published one, and learns, whatever runs it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.golden import NARROW, filled, golden_file, normal
from wavelight.factors import FactorShape
from wavelight.networks.compiled import Compiled
from wavelight.networks.ncsnpp import NCSNpp
from wavelight.networks.published import published_state

WAVEDIFF_CIFAR10: dict[str, Any] = {
    "shape": FactorShape.square(12, 16),
    "width": 128,
    "multipliers": [1, 2, 2],
    "attention_resolutions": [],
    "mapping_layers": 4,
}
DDGAN_CIFAR10: dict[str, Any] = {
    "shape": FactorShape.square(3, 32),
    "width": 128,
    "multipliers": [1, 2, 2, 2],
    "attention_resolutions": [16],
    "mapping_layers": 4,
}
DDGAN_CHURCH: dict[str, Any] = {
    "shape": FactorShape.square(3, 256),
    "width": 64,
    "multipliers": [1, 1, 2, 2, 4, 4],
    "attention_resolutions": [16],
    "mapping_layers": 3,
}
WAVEDIFF_CHURCH_PLAIN: dict[str, Any] = {
    "shape": FactorShape.square(12, 128),
    "width": 64,
    "multipliers": [1, 2, 2, 2, 4],
    "attention_resolutions": [16],
    "mapping_layers": 3,
}


def narrow() -> tuple[NCSNpp, tuple[Tensor, Tensor, Tensor]]:
    """Return a small generator with weights that leave nothing silent, and inputs for it."""
    torch.manual_seed(0)
    network = filled(NCSNpp(FactorShape.square(12, 8), **NARROW))
    return network, (normal(1, 3, 12, 8, 8), torch.arange(3), normal(2, 3, 100))


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize(
    ("name", "values", "first"),
    [
        (
            "G_wavediff_cifar10",
            WAVEDIFF_CIFAR10,
            [-0.270621, -0.429255, 0.410687, -0.698767, -0.589011],
        ),
        pytest.param(
            "G_ddgan_cifar10",
            DDGAN_CIFAR10,
            [-0.351381, -0.554675, -0.629248, -0.0349602, -0.00419108],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_output_is_the_published_one(
    threads: int, name: str, values: dict[str, Any], first: Sequence[float]
) -> None:
    network = filled(NCSNpp(**values))
    channels, height, width, _ = values["shape"]
    with torch.no_grad():
        generated = network(
            normal(1, 2, channels, height, width), torch.arange(2), normal(2, 2, 100)
        )
    torch.testing.assert_close(generated.flatten()[:5], torch.tensor(first), atol=1e-5, rtol=0)
    expected = np.load(golden_file("wavediff_golden.npz"))[name]
    torch.testing.assert_close(generated, torch.from_numpy(expected), atol=5e-6, rtol=0)


@pytest.mark.parametrize(
    ("values", "parameters", "tensors"),
    [
        (WAVEDIFF_CIFAR10, 33_370_124, 272),
        (DDGAN_CIFAR10, 48_432_515, 384),
        (DDGAN_CHURCH, 39_726_979, 548),
        (WAVEDIFF_CHURCH_PLAIN, 28_366_220, None),
    ],
)
def test_size_is_the_published_one(
    values: dict[str, Any], parameters: int, tensors: int | None
) -> None:
    with torch.device("meta"):
        network = NCSNpp(**values)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert tensors is None or len(network.state_dict()) == tensors


def test_published_names_are_the_published_ones() -> None:
    lines = golden_file("wavediff_keys_cifar10.txt").read_text().splitlines()
    expected = dict(line[2:].split(" ", 1) for line in lines if line.startswith("G "))
    with torch.device("meta"):
        network = NCSNpp(**WAVEDIFF_CIFAR10)
    assert {
        name: str(tuple(value.shape)) for name, value in published_state(network).items()
    } == expected


def test_starts_almost_silent() -> None:
    torch.manual_seed(0)
    network = NCSNpp(FactorShape.square(12, 8), **NARROW)
    generated = network(normal(1, 2, 12, 8, 8), torch.arange(2), normal(2, 2, 100))
    assert 0 < generated.abs().max() < 1e-3


def test_initial_weights_have_the_published_spread() -> None:
    torch.manual_seed(0)
    network = NCSNpp(FactorShape.square(12, 8), **NARROW)
    block, attention = network.encoder[0].stages[0].block, network.middle[0].attention
    expected = {  # of a uniform distribution: the bound is sqrt(3) times the standard deviation
        block.conv_in.weight: (32 * 9) ** -0.5,
        block.conv_out.weight: (32 * 9 / 1e-10) ** -0.5,
        block.step.weight: ((128 + 32) / 2) ** -0.5,
        block.norm_in.style.weight: 64**-0.5,
        network.latent_mapping.layers[0].weight: 256**-0.5,
        network.step_mapping.hidden.weight: ((32 + 128) / 2) ** -0.5,
        attention.query.weight: (64 / 0.1) ** -0.5,
    }
    for weight, spread in expected.items():
        assert weight.std().item() == pytest.approx(spread, rel=0.05)
        assert weight.abs().max().item() == pytest.approx(3**0.5 * spread, rel=0.02)
    assert block.norm_in.style.bias.tolist() == [1.0] * 32 + [0.0] * 32
    assert not block.conv_in.bias.any()


def test_every_parameter_learns() -> None:
    network, inputs = narrow()
    network(*inputs).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_images_of_a_batch_do_not_meet() -> None:
    network, (x, t, z) = narrow()
    together = network(x, t, z)
    alone = torch.cat([network(x[i : i + 1], t[i : i + 1], z[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_memory_layout_does_not_matter(layout: torch.memory_format) -> None:
    network, (x, t, z) = narrow()
    expected = network(x, t, z)
    generated = network.to(memory_format=layout)(x.to(memory_format=layout), t, z)
    torch.testing.assert_close(generated, expected, atol=1e-5, rtol=0)


def test_runs_in_bfloat16_under_autocast() -> None:
    network, inputs = narrow()
    expected = network(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        generated = network(*inputs)
    generated.float().sum().backward()
    assert (generated - expected).square().mean().sqrt() < 0.05 * expected.std()


@pytest.mark.slow
def test_compiled_draws_the_same() -> None:
    network, inputs = narrow()
    with torch.no_grad():
        generated = torch.compile(network, fullgraph=True)(*inputs)
        torch.testing.assert_close(generated, network(*inputs), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_compiled_for_drawing_draws_the_same() -> None:
    network, inputs = narrow()
    expected = network(*inputs)
    generated = Compiled(network)(*inputs)
    assert not generated.requires_grad
    torch.testing.assert_close(generated, expected.detach(), atol=1e-5, rtol=0)


def test_a_network_of_bfloat16_draws_nearly_the_same() -> None:
    network, (x, t, z) = narrow()
    expected = network(x, t, z)
    generated = network.bfloat16()(x.bfloat16(), t, z.bfloat16())
    assert (generated - expected).square().mean().sqrt() < 0.05 * expected.std()


@pytest.mark.slow
def test_exported_draws_the_same() -> None:
    network, inputs = narrow()
    exported = torch.export.export(network, inputs).module()
    torch.testing.assert_close(exported(*inputs), network(*inputs), atol=1e-5, rtol=0)


def test_resolution_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(
        ValueError, match="resolution must be divisible by 4 for 3 multipliers, got 10"
    ):
        NCSNpp(FactorShape.square(3, 10), 32, [1, 2, 2], [], 1)


def test_a_factor_with_a_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="NCSNpp is unconditional and cannot model detail bands"):
        NCSNpp(FactorShape.square(9, 8, 3), **NARROW)
