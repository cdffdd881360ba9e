"""Initial weights, beside the variances of DDGAN's code."""

from math import prod, sqrt

import pytest
import torch
from torch import nn

from wavelight.networks.initialization import NEARLY_ZERO, fan_average, fan_out

LAYERS = [
    lambda: nn.Conv2d(3, 5, 3),
    lambda: nn.Linear(7, 4),
    lambda: nn.Conv2d(8, 4, 1, bias=False),
]


def as_published(weight, scale, average):
    outputs, inputs, *window = weight.shape
    fan = (inputs + outputs) / 2 * prod(window) if average else outputs * prod(window)
    bound = sqrt(3 * scale / fan)
    torch.manual_seed(3)
    return torch.empty_like(weight).uniform_(-bound, bound)


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("scale", [1.0, 0.3, NEARLY_ZERO, 0.0])
def test_average_is_that_of_the_published_code(make, scale):
    layer = make()
    torch.manual_seed(3)
    assert fan_average(layer, scale) is layer
    assert torch.equal(layer.weight, as_published(layer.weight.detach(), scale, average=True))
    assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("scale", [1.0, 0.3, NEARLY_ZERO])
def test_outputs_are_those_of_the_published_code(make, scale):
    layer = make()
    torch.manual_seed(3)
    assert fan_out(layer, scale) is layer
    expected = as_published(layer.weight.detach(), scale, average=False)
    if scale == 1:
        assert torch.equal(layer.weight, expected)
    else:  # to the last bit but one
        torch.testing.assert_close(layer.weight.detach(), expected, atol=0, rtol=2.5e-7)
    assert layer.bias is None or not layer.bias.any()
