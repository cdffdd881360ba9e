"""Layers that see the global batch, on one process and on two: values, gradients, and gradients of gradients."""

import pytest
import torch
from torch import nn

from tests.golden import normal
from tests.shares import on_processes
from wavelight.networks.batch_statistics import BatchNorm2d
from wavelight.networks.gathering import gather, own_share
from wavelight.networks.minibatch import MinibatchStandardDeviation

IMAGES = 8


def layers():
    """Return a layer of each kind behind weights that learn, in float64."""
    torch.manual_seed(0)
    inputs, outputs, norm = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 1, 3), BatchNorm2d(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    compared = [inputs, nn.Tanh(), MinibatchStandardDeviation(), nn.Conv2d(4, 1, 3)]
    return {
        "normalized": nn.Sequential(inputs, norm, nn.Tanh(), outputs).double(),
        "compared": nn.Sequential(*compared).double(),
    }


def measured(rank, x, processes):
    """Return what this process finds of its share: outputs, slopes, gradients of a penalty of slopes, buffers."""
    found = {}
    for name, network in layers().items():
        share = x.chunk(processes)[rank].clone().requires_grad_()
        outputs = network(share)
        loss = outputs.sin().flatten(1).sum(1)
        (slope,) = torch.autograd.grad(loss.sum(), share, create_graph=True)
        objective = loss.mean() + slope.square().flatten(1).sum(1).mean()
        gradients = torch.autograd.grad(objective, list(network.parameters()))
        found[name] = {
            "outputs": outputs.detach(),
            "slope": slope.detach(),
            "gradients": gradients,
            "buffers": dict(network.named_buffers()),
        }
    return found


@pytest.mark.ddp
def test_shares_of_a_batch_are_one_batch(tmp_path):
    # Far from zero, where sums of squares would lose the digits of the variance.
    x = normal(1, IMAGES, 2, 5, 5).double() + 100
    whole = measured(0, x, 1)
    shares = on_processes(tmp_path, 2, measured, x, 2)
    for name, expected in whole.items():
        parts = [share[name] for share in shares]
        for key in ("outputs", "slope"):
            together = torch.cat([part[key] for part in parts])
            torch.testing.assert_close(together, expected[key], atol=1e-11, rtol=1e-9)
        # As DDP does, which takes the mean over processes.
        for *halves, one in zip(
            *(part["gradients"] for part in parts), expected["gradients"], strict=True
        ):
            torch.testing.assert_close(sum(halves) / 2, one, atol=1e-11, rtol=1e-9)
        for key, value in expected["buffers"].items():
            torch.testing.assert_close(parts[0]["buffers"][key], value, atol=0, rtol=1e-12)
            assert torch.equal(parts[0]["buffers"][key], parts[1]["buffers"][key])


def test_one_process_normalizes_as_pytorch_does():
    ours, theirs = BatchNorm2d(3), nn.BatchNorm2d(3)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for x in (normal(1, 4, 3, 5, 5), normal(2, 4, 3, 5, 5)):
        assert torch.equal(ours(x), theirs(x))
    assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))
    ours.eval()
    theirs.eval()
    assert torch.equal(ours(x), theirs(x))


def test_one_process_gathers_nothing():
    x = normal(1, 4, 2)
    assert gather(x) is x
    assert own_share(x) is x


def in_bfloat16(rank):
    layer = BatchNorm2d(3)
    with torch.autocast("cpu", torch.bfloat16):
        return layer(normal(rank, 4, 3, 5, 5).bfloat16()), layer.running_var


@pytest.mark.ddp
def test_statistics_of_bfloat16_are_of_float32(tmp_path):
    (one, variance), _ = on_processes(tmp_path, 2, in_bfloat16)
    assert one.dtype == torch.bfloat16
    assert variance.dtype == torch.float32
    x = torch.cat([normal(rank, 4, 3, 5, 5) for rank in range(2)]).bfloat16().float()
    expected = nn.BatchNorm2d(3)
    torch.testing.assert_close(one.float(), expected(x)[:4], atol=0.02, rtol=0.01)
    torch.testing.assert_close(variance, expected.running_var, atol=0, rtol=1e-5)
