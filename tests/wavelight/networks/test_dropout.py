"""Masks of dropout belong to an image, are as good as independent, and are of the rate that was asked for."""

import pytest
import torch

from tests.golden import normal
from wavelight.networks.dropout import Dropout, drops_features, image_masks
from wavelight.noise import Noise

IMAGES = torch.arange(100, 116)


def masked(layer, x, index=IMAGES[:4], seed=3, calls=1):
    with image_masks(Noise(seed, index, stream=9)):
        return [layer(x) for _ in range(calls)]


def kept(rate, *shape, calls=1):
    """Return the masks of as many calls, ``(calls, *shape)``: 1 where a feature is kept."""
    results = masked(Dropout(rate), torch.ones(shape), IMAGES[: shape[0]], calls=calls)
    return torch.stack(results).ne(0).double()


@pytest.mark.parametrize("shape", [(4, 6), (4, 5, 3, 3), (4, 8, 4, 2)])
def test_parts_of_a_batch_have_the_masks_of_the_whole(shape):
    x, layer = normal(1, *shape), Dropout(0.4)
    first, second = masked(layer, x, calls=2)
    assert not torch.equal(first, second)
    parts = [masked(layer, x[i : i + 2], IMAGES[i : i + 2], calls=2) for i in (0, 2)]
    for whole, one, two in zip((first, second), *parts, strict=True):
        assert torch.equal(torch.cat([one, two]), whole)
    assert not torch.equal(masked(layer, x, seed=4)[0], first)


@pytest.mark.parametrize("rate", [0.13, 0.5])
def test_features_are_dropped_at_the_rate_and_the_rest_scaled(rate):
    x = torch.full((16, 32, 16, 16), 2.0)
    (found,) = masked(Dropout(rate), x, IMAGES)
    values = found.unique().tolist()
    assert values == pytest.approx([0, 2 / (1 - rate)], rel=1e-4)
    assert found.mean().item() == pytest.approx(
        2, abs=6 * 2 * (rate / (1 - rate) / found.numel()) ** 0.5
    )


def test_masks_of_neighbours_channels_images_and_calls_are_uncorrelated():
    masks = kept(0.3, 8, 16, 32, 32, calls=2)
    centred = (masks - masks.mean()) / masks.std()
    limit = 6 / (centred.numel() / 2) ** 0.5
    for dimension, size in enumerate(centred.shape):
        for distance in (1, 2, 3, 4, 8):
            if distance < size:
                one = centred.narrow(dimension, 0, size - distance)
                other = centred.narrow(dimension, distance, size - distance)
                assert abs((one * other).mean().item()) < limit, (dimension, distance)


def test_counts_of_dropped_features_spread_as_independent_ones_do():
    """Of 64 features each, the variance of their number is 64 p (1 - p)."""
    dropped = 64 - kept(0.25, 16, 64, 32, 32).sum(2).flatten()
    variance = 64 * 0.25 * 0.75
    assert dropped.var().item() == pytest.approx(variance, rel=6 * (2 / len(dropped)) ** 0.5)


def test_gradients_pass_where_features_are_kept():
    x = normal(1, 4, 8, 5, 5).requires_grad_()
    (found,) = masked(Dropout(0.5), x)
    found.sum().backward()
    assert torch.equal(x.grad, torch.where(found == 0, 0.0, 2.0))


def test_features_stay_channels_last():
    x = normal(1, 4, 8, 5, 5).to(memory_format=torch.channels_last)
    (found,) = masked(Dropout(0.5), x)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_masks_do_not_depend_on_the_order_in_memory():
    x = normal(1, 4, 8, 5, 5)
    other = x.to(memory_format=torch.channels_last)
    assert torch.equal(masked(Dropout(0.5), x)[0], masked(Dropout(0.5), other)[0])


def test_nothing_is_dropped_in_evaluation_or_at_a_rate_of_0():
    x = normal(1, 4, 8)
    assert torch.equal(masked(Dropout(0.5).eval(), x)[0], x)
    assert torch.equal(masked(Dropout(0.0), x)[0], x)


def test_outside_a_step_masks_are_pytorchs():
    x = normal(1, 4, 8)
    torch.manual_seed(1)
    found = Dropout(0.5)(x)
    torch.manual_seed(1)
    assert torch.equal(found, torch.nn.functional.dropout(x, 0.5))


def test_networks_say_whether_they_drop_features():
    conv = torch.nn.Conv2d(1, 1, 1)
    assert drops_features(torch.nn.Sequential(conv, Dropout(0.1)))
    assert not drops_features(torch.nn.Sequential(conv, Dropout(0.0)))


def test_images_of_another_batch_are_refused():
    with pytest.raises(ValueError, match="must be those of its 4 images, got 8"):
        masked(Dropout(0.5), normal(1, 8, 3))


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_rates_that_cannot_be_are_refused(rate):
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1, got"):
        Dropout(rate)


@pytest.mark.slow
def test_compiled_masks_are_the_same_and_compile_once():
    x, network = normal(1, 4, 8, 6, 6), torch.nn.Sequential(Dropout(0.5), Dropout(0.25))
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, dynamic=False)
    batches = [IMAGES[:4], IMAGES[4:8]]
    found = masked(compiled, x, batches[0], calls=2)
    with torch.compiler.set_stance("fail_on_recompile"):
        found += masked(compiled, x, batches[1], calls=2)
    expected = [each for batch in batches for each in masked(network, x, batch, calls=2)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
