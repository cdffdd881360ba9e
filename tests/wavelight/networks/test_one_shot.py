"""What all generators and discriminators of details have in common."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn

from tests.golden import normal
from wavelight.factors import Condition, FactorShape
from wavelight.networks import (
    AttentionGateUNet,
    DetailDiscriminator,
    DetailGenerator,
    GroupedDiscriminator,
    GroupedUNet,
    ResidualDiscriminator,
)
from wavelight.networks.compiled import Compiled

SHAPE = FactorShape.square(3, 16, 1)


def gated(**changes: Any) -> DetailGenerator:
    values = {"width": 8, "noise_channels": 2, "pools": 2}
    return AttentionGateUNet(SHAPE, **(values | changes))


def grouped(**changes: Any) -> DetailGenerator:
    values = {
        "width": 8,
        "multipliers": [1, 2, 2],
        "noise_channels": 2,
        "blocks": 1,
    }
    return GroupedUNet(SHAPE, **(values | changes))


def residual_discriminator(**changes: Any) -> DetailDiscriminator:
    return ResidualDiscriminator(
        SHAPE, **({"width": 8, "blocks": 3, "conditional": True} | changes)
    )


def grouped_discriminator(**changes: Any) -> DetailDiscriminator:
    values = {"width": 8, "multipliers": [1, 2, 2], "blocks": 1}
    return GroupedDiscriminator(SHAPE, **(values | changes))


Network = TypeVar("Network", bound=nn.Module)
Generator = Callable[..., DetailGenerator]
Critic = Callable[..., DetailDiscriminator]

every_generator = pytest.mark.parametrize("build", [gated, grouped])
every_discriminator = pytest.mark.parametrize(
    "build", [residual_discriminator, grouped_discriminator]
)
every_network = pytest.mark.parametrize(
    "build", [gated, grouped, residual_discriminator, grouped_discriminator]
)


def awake(network: Network) -> Network:
    """Give a network weights, always the same, that leave nothing silent."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.1)
            nn.init.normal_(module.bias, 0, 0.1)
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.1, 0.3)
    return network


def inputs_of(network: nn.Module, count: int = 3, side: int = 16) -> list[Tensor]:
    """Return noise and LL for a generator, details and LL for a discriminator."""
    first = network.noise_channels if isinstance(network, DetailGenerator) else 3
    return [normal(1, count, first, side, side), normal(2, count, 1, side, side)]


def call(network: Callable[..., Tensor], first: Tensor, ll: Tensor) -> Tensor:
    return network(first, Condition(ll))


@every_network
def test_every_parameter_learns(build: Generator) -> None:
    network = awake(build())
    outputs = call(network, *inputs_of(network))
    (outputs * normal(3, *outputs.shape)).sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@every_network
def test_images_of_a_batch_do_not_meet_where_statistics_are_kept(build: Generator) -> None:
    network = awake(build()).eval()
    inputs = inputs_of(network)
    alone = torch.cat([call(network, *(value[i : i + 1] for value in inputs)) for i in range(3)])
    torch.testing.assert_close(call(network, *inputs), alone, atol=1e-5, rtol=0)


@every_network
def test_every_input_matters(build: Generator) -> None:
    network = awake(build()).eval()
    inputs = inputs_of(network)
    outputs = call(network, *inputs)
    for position in range(2):
        changed = [*inputs]
        changed[position] = normal(5, *inputs[position].shape)
        assert (call(network, *changed) - outputs).abs().flatten(1).amax(dim=1).min() > 1e-3


@every_network
def test_transposed_inputs_and_weights_give_transposed_outputs(build: Generator) -> None:
    network = awake(build()).eval()
    inputs = inputs_of(network)
    outputs = call(network, *inputs)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 4:
                parameter.copy_(parameter.mT.clone())
    transposed = call(network, *(value.mT for value in inputs))
    expected = outputs.mT if outputs.dim() == 4 else outputs
    torch.testing.assert_close(transposed, expected, atol=1e-5, rtol=1e-5)


@every_network
def test_repeats_itself_in_evaluation(build: Generator) -> None:
    network = awake(build()).eval()
    inputs = inputs_of(network)
    before = {name: value.clone() for name, value in network.named_buffers()}
    assert torch.equal(call(network, *inputs), call(network, *inputs))
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


@every_network
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_memory_layout_does_not_matter(build: Generator, layout: torch.memory_format) -> None:
    network = awake(build()).eval()
    inputs = inputs_of(network)
    expected = call(network, *inputs)
    outputs = call(
        network.to(memory_format=layout), *(value.to(memory_format=layout) for value in inputs)
    )
    torch.testing.assert_close(outputs, expected, atol=1e-5, rtol=1e-5)
    assert outputs.is_contiguous()


@every_network
def test_runs_in_bfloat16_under_autocast(build: Generator) -> None:
    network = awake(build()).eval()
    inputs = inputs_of(network, count=8)
    expected = call(network, *inputs)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = call(network, *inputs)
    outputs.float().sum().backward()
    assert (outputs - expected).square().mean().sqrt() < 0.05 * expected.std()


@pytest.mark.slow
@every_network
@pytest.mark.parametrize("training", [False, True])
def test_graph_is_one_piece(build: Generator, training: bool) -> None:
    network = awake(build()).train(training)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    inputs = inputs_of(network)
    outputs = call(torch.compile(network, fullgraph=True, backend="aot_eager"), *inputs)
    torch.testing.assert_close(outputs, call(network, *inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@every_generator
@pytest.mark.parametrize("noise_channels", [0, 2])
def test_compiled_for_drawing_draws_the_same(build: Generator, noise_channels: int) -> None:
    network = awake(build(noise_channels=noise_channels)).eval()
    inputs = inputs_of(network)
    expected = call(network, *inputs).detach()
    torch.testing.assert_close(call(Compiled(network), *inputs), expected, atol=1e-5, rtol=0)


@pytest.mark.slow
@every_generator
def test_exported_draws_the_same(build: Generator) -> None:
    network = awake(build()).eval()
    inputs = inputs_of(network)
    exported = torch.export.export(network, (inputs[0], Condition(inputs[1]))).module()
    torch.testing.assert_close(call(exported, *inputs), call(network, *inputs), atol=1e-5, rtol=0)


@every_generator
def test_draws_bands_of_every_size_that_can_be_halved(build: Generator) -> None:
    network = awake(build())
    for size in [(8, 8), (16, 16), (12, 20)]:
        assert call(network, normal(1, 2, 2, *size), normal(2, 2, 1, *size)).shape == (2, 3, *size)


@every_generator
def test_draws_without_noise(build: Generator) -> None:
    network = awake(build(noise_channels=0)).eval()
    condition = normal(2, 2, 1, 16, 16)
    noise = torch.randn(2, 0, 16, 16)
    assert call(network, noise, condition).shape == (2, 3, 16, 16)


@every_generator
def test_inside_moves_with_what_is_drawn_from(build: Generator) -> None:
    network = awake(build()).eval().double()
    noise, condition = (value.double() for value in inputs_of(network, count=1, side=96))
    outputs = call(network, noise, condition)
    inside = (..., slice(40, 56), slice(40, 56))

    def differs(distance: int) -> bool:
        moved = call(
            network, *(value.roll((distance, -distance), (2, 3)) for value in (noise, condition))
        )
        back = moved.roll((-distance, distance), (2, 3))
        return not torch.allclose(back[inside], outputs[inside], atol=1e-12)

    assert not differs(4)  # as far as two halvings keep
    assert differs(2)


@every_generator
def test_side_that_cannot_be_halved_is_refused(build: Generator) -> None:
    network = build()
    network.check_side(12)
    with pytest.raises(
        ValueError,
        match="the side of LL must be a multiple of 4 for the generator's 2 halvings, got 10",
    ):
        network.check_side(10)
    with pytest.raises(
        ValueError,
        match="the side of LL must be a multiple of 4 for the generator's 2 halvings, got 10",
    ):
        call(network, normal(1, 2, 2, 12, 10), normal(2, 2, 1, 12, 10))


@every_generator
def test_noise_and_condition_that_do_not_fit_are_refused(build: Generator) -> None:
    network = build()
    noise, condition = inputs_of(network)
    with pytest.raises(ValueError, match="LL and noise must have 1 and 2 channels, got 2 and 1"):
        call(network, condition, noise)
    with pytest.raises(
        ValueError, match=r"noise must have the size of LL, \(16, 16\), got \(16, 8\)"
    ):
        call(network, noise[..., :8], condition)


@every_discriminator
def test_penalty_of_gradients_has_the_right_gradient(build: Critic) -> None:
    network = awake(build()).double()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    x, condition = (value.double() for value in inputs_of(network))

    def penalty(stem: Tensor) -> Tensor:
        image = x.clone().requires_grad_()
        logits = torch.func.functional_call(
            network, {"stem.weight": stem}, (image, Condition(condition))
        )
        (slope,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
        return slope.square().sum()

    stem = network.get_parameter("stem.weight").detach().clone().requires_grad_()
    direction = normal(5, *stem.shape).double()
    (gradient,) = torch.autograd.grad(penalty(stem), stem)
    difference = (penalty(stem + 1e-7 * direction) - penalty(stem - 1e-7 * direction)) / 2e-7
    torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-3, atol=0)


@every_discriminator
def test_every_layer_learns_from_the_penalty(build: Critic) -> None:
    network = awake(build()).eval()
    x, condition = inputs_of(network)
    (slope,) = torch.autograd.grad(
        call(network, x.requires_grad_(), condition).sum(), x, create_graph=True
    )
    slope.square().sum().backward()
    silent = [
        name
        for name, p in network.named_parameters()
        if p.dim() > 1 and (p.grad is None or not p.grad.any())
    ]
    assert silent == []


@every_discriminator
def test_coarse_band_of_a_finer_image_is_repeated(build: Critic) -> None:
    network = awake(build()).eval()
    x, coarse = normal(1, 3, 3, 16, 16), normal(2, 3, 1, 8, 8)
    repeated = coarse.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert call(network, x, coarse).shape == (3, 1)
    torch.testing.assert_close(call(network, x, coarse), call(network, x, repeated))


@every_discriminator
def test_scores_without_a_condition(build: Critic) -> None:
    network, x = awake(build(conditional=False)).eval(), normal(1, 3, 3, 16, 16)
    assert network(x).shape == (3, 1)
    assert torch.equal(call(network, x, normal(2, 3, 1, 16, 16)), network(x))


@every_discriminator
def test_condition_that_does_not_fit_is_refused(build: Critic) -> None:
    network = build()
    x = inputs_of(network)[0]
    with pytest.raises(ValueError, match="ll must be given for details, got none"):
        network(x)
    with pytest.raises(ValueError, match="LL must have 1 channels, got 3"):
        call(network, x, x)
    for size in [(16, 8), (6, 6), (32, 32)]:
        with pytest.raises(ValueError, match=r"cannot be repeated to the \(16, 16\)"):
            call(network, x, normal(2, 3, 1, *size))
