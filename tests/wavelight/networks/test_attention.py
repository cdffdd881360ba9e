"""Attention is one function, whichever of its forms is taken."""

import pytest
import torch
from torch.nn import functional

from tests.golden import normal
from wavelight.networks.attention import attend


def inputs(shape: tuple[int, ...], dtype: torch.dtype) -> list[torch.Tensor]:
    return [normal(seed, *shape).to(dtype).requires_grad_() for seed in range(3)]


@pytest.mark.parametrize("shape", [(2, 9, 48), (2, 3, 9, 8), (1, 2, 400, 4)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_values_and_gradients_are_those_of_float64(shape, dtype, tolerance):
    given = inputs(shape, dtype)
    exact = [each.detach().double().requires_grad_() for each in given]
    found, expected = attend(*given), functional.scaled_dot_product_attention(*exact)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=tolerance)
    slope = normal(4, *shape)
    gradients = torch.autograd.grad(found, given, slope.to(dtype))
    for gradient, right in zip(
        gradients, torch.autograd.grad(expected, exact, slope.double()), strict=True
    ):
        torch.testing.assert_close(gradient.double(), right, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    ("shape", "dtype", "products"),
    [
        ((2, 9, 48), torch.float32, True),
        ((2, 3, 9, 8), torch.float32, False),
        ((2, 3, 256, 8), torch.bfloat16, True),
        ((2, 3, 257, 8), torch.bfloat16, False),
    ],
)
def test_products_are_taken_where_they_are_faster(monkeypatch, shape, dtype, products):
    fused: list[object] = []
    monkeypatch.setattr(
        functional, "scaled_dot_product_attention", lambda *given: fused.append(given) or given[0]
    )
    attend(*inputs(shape, dtype))
    assert bool(fused) != products
