"""Group normalization in the form for compilers equals PyTorch's."""

import pytest
import torch
from torch.nn import functional

from tests.golden import normal
from wavelight.networks.normalization import AdaptiveGroupNorm, group_norm, groups_of, normalized


@pytest.mark.parametrize("mean", [0, 1000])
@pytest.mark.parametrize("shape", [(2, 16, 6, 4), (1, 64, 1, 1), (3, 256, 5, 5)])
def test_form_for_compilers_is_pytorchs(shape: tuple[int, ...], mean: float) -> None:
    x = (normal(1, *shape) + mean).to(memory_format=torch.channels_last)
    scale, shift = normal(2, *shape[:2]), normal(3, *shape[:2])
    exact = functional.group_norm(x.double(), groups_of(shape[1]), eps=1e-6)
    expected = exact * scale[:, :, None, None] + shift[:, :, None, None]
    found = normalized(x, groups_of(shape[1]), scale, shift)
    torch.testing.assert_close(found.double(), expected, atol=1e-5 + 1e-6 * mean, rtol=1e-5)


def test_one_affine_map_serves_all_images() -> None:
    layer, x = group_norm(16), normal(1, 2, 16, 4, 4)
    with torch.no_grad():
        layer.weight.copy_(normal(2, 16))
        layer.bias.copy_(normal(3, 16))
    torch.testing.assert_close(normalized(x, 4, layer.weight, layer.bias), layer(x))


@pytest.mark.parametrize("threads", [1, 2], indirect=True)
@pytest.mark.parametrize(
    "shape", [(16, 128, 16, 16), (4, 64, 64, 64), (2, 16, 1, 1), (2, 16, 5, 3)]
)
@pytest.mark.parametrize("adaptive", [False, True])
def test_channels_last_loses_no_digits_to_the_mean(threads, shape, adaptive) -> None:
    channels = shape[1]
    x = (normal(1, *shape) + 10).to(memory_format=torch.channels_last).requires_grad_()
    exact = x.detach().double().contiguous().requires_grad_()
    if adaptive:
        affine = torch.cat([torch.ones(shape[0], channels), torch.zeros(shape[0], channels)], dim=1)
        found = AdaptiveGroupNorm(channels, 4)(x, affine)
    else:
        found = group_norm(channels)(x)
    expected = functional.group_norm(exact, groups_of(channels), eps=1e-6)
    slope = normal(2, *shape)
    (gradient,) = torch.autograd.grad(found, x, slope)
    (expected_gradient,) = torch.autograd.grad(expected, exact, slope.double())
    spread = expected_gradient.abs().max().clamp(min=1)
    assert (found - expected).abs().max() < 5e-6
    assert (gradient - expected_gradient).abs().max() < 5e-6 * spread


def test_contiguous_tensors_are_normalized_by_pytorch() -> None:
    x = normal(1, 2, 16, 5, 3) + 10
    layer = group_norm(16)
    expected = functional.group_norm(x, 4, layer.weight, layer.bias, eps=1e-6)
    assert torch.equal(layer(x), expected)


@pytest.mark.slow
def test_compiled_and_uncompiled_agree() -> None:
    layer, x, affine = AdaptiveGroupNorm(16, 4), normal(1, 2, 16, 4, 4), normal(2, 2, 32)
    compiled = torch.compile(layer, fullgraph=True)
    torch.testing.assert_close(compiled(x, affine), layer(x, affine))
    halved = x.bfloat16()
    assert compiled(halved, affine.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("channels", [2, 130])
def test_channels_that_do_not_split_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match="channels must split into"):
        groups_of(channels)
