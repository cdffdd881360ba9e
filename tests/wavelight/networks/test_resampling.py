"""The filters of resampling, against their definition."""

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from tests.golden import normal
from wavelight.networks.resampling import (
    FilteredConvolutionDown,
    FilteredDown,
    convolve_filtered_up,
    filtered_up,
    fitted,
)

TAPS = torch.outer(torch.tensor([1.0, 3.0, 3.0, 1.0]), torch.tensor([1.0, 3.0, 3.0, 1.0]))


def test_impulse_becomes_the_filter() -> None:
    impulse = torch.zeros(1, 1, 4, 4)
    impulse[0, 0, 1, 1] = 1
    expected = torch.zeros(8, 8)
    expected[1:5, 1:5] = TAPS / 16
    torch.testing.assert_close(filtered_up(impulse)[0, 0], expected)


def test_down_is_the_transpose_of_up() -> None:
    small, large = normal(1, 2, 3, 4, 4), normal(2, 2, 3, 8, 8)
    torch.testing.assert_close(
        (filtered_up(small) * large).sum(), 4 * (small * FilteredDown()(large)).sum()
    )


def test_down_filters_and_keeps_every_second_sample() -> None:
    image = normal(1, 2, 3, 8, 8)
    padded = functional.pad(image, [1, 1, 1, 1]).flatten(0, 1)[:, None]
    filtered = functional.conv2d(padded, TAPS[None, None] / 64)[:, 0].unflatten(0, (2, 3))
    expected = filtered[..., ::2, ::2]
    torch.testing.assert_close(FilteredDown()(image), expected)


def test_filters_are_no_weights() -> None:
    assert FilteredDown().state_dict() == {}
    assert list(FilteredDown().parameters()) == []
    assert list(FilteredConvolutionDown(3, 4).state_dict()) == [
        "convolution.weight",
        "convolution.bias",
    ]


@pytest.mark.parametrize(("height", "width"), [(4, 4), (1, 3), (6, 2)])
def test_convolution_of_a_doubled_image_is_exact_up_to_its_borders(height: int, width: int) -> None:
    image = normal(1, 2, 3, height, width).double()
    weight, bias = normal(2, 5, 3, 3, 3).double(), normal(3, 5).double()
    expected = functional.conv2d(filtered_up(image), weight, bias, padding=1)
    torch.testing.assert_close(convolve_filtered_up(image, weight, bias), expected)


def test_layout_stays_channels_last() -> None:
    image = normal(1, 2, 8, 4, 4).to(memory_format=torch.channels_last)
    up = convolve_filtered_up(image, normal(2, 8, 8, 3, 3), normal(3, 8))
    for generated in (filtered_up(image), up, FilteredDown()(image)):
        assert generated.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("side", "smallest_side", "expected"),
    [
        (16, 4, [2, 4, 8]),  # as many as there are
        (8, 4, [4, 8]),  # the first is left out
        (4, 4, [8]),
        (2, 4, [8]),  # a side below the smallest has one resolution
        (64, 4, [2, 4, 8, 8, 8]),  # the last is repeated
        (48, 4, [2, 4, 8, 8]),  # 6 is the last side that is not below 4
        (64, None, [2, 4, 8]),
        (2, None, [2, 4, 8]),
    ],
)
def test_multipliers_are_fitted_to_the_smallest_side(
    side: int, smallest_side: int | None, expected: list[int]
) -> None:
    multipliers = [2, 4, 8]
    found = list(fitted(multipliers, side, smallest_side))
    assert found == expected
    assert multipliers == [2, 4, 8]
    if smallest_side is not None and side >= smallest_side:
        assert smallest_side <= side / 2 ** (len(found) - 1) < 2 * smallest_side


@pytest.mark.parametrize("mixed", [False, True])
def test_gradients_of_the_filter_in_16_bits_are_computed_in_32(mixed):
    down = FilteredDown()
    x = normal(1, 2, 8, 6, 4).bfloat16().requires_grad_()
    exact = x.detach().double().requires_grad_()
    dtypes: list[torch.dtype] = []

    class Convolutions(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten.convolution_backward.default:
                dtypes.append(args[0].dtype)
            return func(*args, **(kwargs or {}))

    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        found = down(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), down(exact), atol=1e-2, rtol=1e-2)
    slope = normal(2, *found.shape)
    with Convolutions():
        (gradient,) = torch.autograd.grad(found, x, slope.bfloat16())
    assert dtypes == [torch.float32]
    (expected,) = torch.autograd.grad(down(exact), exact, slope.double())
    torch.testing.assert_close(gradient.double(), expected, atol=1e-2, rtol=1e-2)
