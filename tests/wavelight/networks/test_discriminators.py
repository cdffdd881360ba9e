"""The discriminators equal the published ones, and can be differentiated twice."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from tests.golden import filled, golden_file, normal
from wavelight.factors import FactorShape
from wavelight.networks.discriminators import (
    Discriminator,
    LargeDiscriminator,
    SmallDiscriminator,
)
from wavelight.networks.published import published_state

# These discriminators take images of every size.
SUBBANDS = FactorShape.square(12, 16)
COLOURS = FactorShape.square(3, 32)


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize(
    ("name", "build", "shape", "first"),
    [
        (
            "D_wavediff_cifar10",
            lambda: SmallDiscriminator(SUBBANDS, 64, 3),
            (4, 12, 16, 16),
            [2.84859, 3.18178, 3.1011, 2.88177],
        ),
        (
            "D_wavediff_celeba_256",
            lambda: LargeDiscriminator(SUBBANDS, 64, 5),
            (2, 12, 128, 128),
            [3.2374, 3.24444],
        ),
        (
            "D_ddgan_cifar10",
            lambda: SmallDiscriminator(COLOURS, 64, 4),
            (4, 3, 32, 32),
            [0.836225, 0.685222, 1.24298, 2.23025],
        ),
    ],
)
def test_output_is_the_published_one(
    threads: int,
    name: str,
    build: Callable[[], Discriminator],
    shape: tuple[int, ...],
    first: Sequence[float],
) -> None:
    network = filled(build())
    with torch.no_grad():
        scores = network(normal(1, *shape), torch.arange(shape[0]), normal(3, *shape))
    torch.testing.assert_close(
        scores.flatten(), torch.tensor(first), atol=1e-5, rtol=0
    )  # printed with six digits
    expected = np.load(golden_file("wavediff_golden.npz"))[name]
    torch.testing.assert_close(scores, torch.from_numpy(expected), atol=5e-6, rtol=0)


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (lambda: SmallDiscriminator(SUBBANDS, 64, 3), 7_630_593),
        (lambda: SmallDiscriminator(SUBBANDS, 64, 4), 12_743_937),
        (lambda: SmallDiscriminator(COLOURS, 64, 4), 12_741_633),
        (lambda: LargeDiscriminator(SUBBANDS, 64, 5), 22_626_177),
        (lambda: LargeDiscriminator(SUBBANDS, 64, 6), 27_739_521),
        (lambda: LargeDiscriminator(COLOURS, 64, 6), 27_737_217),
    ],
)
def test_size_is_the_published_one(build: Callable[[], Discriminator], parameters: int) -> None:
    with torch.device("meta"):
        network = build()
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("keys", "build"),
    [
        ("cifar10", lambda: SmallDiscriminator(SUBBANDS, 64, 3)),
        ("celeba256", lambda: LargeDiscriminator(SUBBANDS, 64, 5)),
    ],
)
def test_published_names_are_the_published_ones(
    keys: str, build: Callable[[], Discriminator]
) -> None:
    lines = golden_file(f"wavediff_keys_{keys}.txt").read_text().splitlines()
    expected = dict(line[2:].split(" ", 1) for line in lines if line.startswith("D "))
    with torch.device("meta"):
        network = build()
    assert {
        name: str(tuple(value.shape)) for name, value in published_state(network).items()
    } == expected


@pytest.mark.parametrize("build", [SmallDiscriminator, LargeDiscriminator])
def test_every_parameter_learns(build: Callable[..., Discriminator]) -> None:
    network = filled(build(COLOURS, 8, 3))
    network(
        normal(1, 4, 3, 16, 16), torch.arange(4), normal(3, 4, 3, 16, 16)
    ).square().sum().backward()
    assert [
        name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()
    ] == []


@pytest.mark.parametrize("build", [SmallDiscriminator, LargeDiscriminator])
def test_a_factor_with_a_condition_is_refused(build: Callable[..., Discriminator]) -> None:
    with pytest.raises(
        ValueError, match=f"{build.__name__} is unconditional and cannot model detail bands"
    ):
        build(FactorShape.square(9, 16, 3), 8, 3)


def test_gradient_penalty_has_the_right_gradient() -> None:
    network = filled(SmallDiscriminator(COLOURS, 4, 3)).double()
    x_t, x_next, t = normal(1, 2, 3, 8, 8).double(), normal(3, 2, 3, 8, 8).double(), torch.arange(2)

    def penalty(stem: torch.Tensor) -> torch.Tensor:
        image = x_t.clone().requires_grad_()
        logits = torch.func.functional_call(network, {"stem.weight": stem}, (image, t, x_next))
        (slope,) = torch.autograd.grad(logits.sum(), image, create_graph=True)
        return slope.square().sum()

    stem = network.stem.weight.detach().clone().requires_grad_()
    direction = normal(5, *stem.shape).double()
    (gradient,) = torch.autograd.grad(penalty(stem), stem)
    difference = (penalty(stem + 1e-6 * direction) - penalty(stem - 1e-6 * direction)) / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-4, atol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_memory_layout_does_not_matter(layout: torch.memory_format) -> None:
    network = filled(SmallDiscriminator(COLOURS, 8, 3))
    pair, t = (normal(1, 4, 3, 16, 16), normal(3, 4, 3, 16, 16)), torch.arange(4)
    expected = network(pair[0], t, pair[1])
    first, second = (image.to(memory_format=layout) for image in pair)
    torch.testing.assert_close(
        network.to(memory_format=layout)(first, t, second), expected, atol=1e-5, rtol=1e-5
    )


def test_starts_undecided() -> None:
    torch.manual_seed(0)
    network = SmallDiscriminator(COLOURS, 8, 3)
    scores = network(normal(1, 4, 3, 16, 16), torch.arange(4), normal(3, 4, 3, 16, 16))
    assert scores.shape == (4, 1)
    assert 0 < scores.abs().max() < 0.05


def test_last_layer_starts_wide() -> None:
    torch.manual_seed(0)
    weight = SmallDiscriminator(COLOURS, 8, 3).score.weight
    assert weight.std().item() == pytest.approx(1, rel=0.2)
    assert weight.abs().max().item() <= 3**0.5
