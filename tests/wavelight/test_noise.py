import pytest
import torch

from wavelight.noise import Noise, philox


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        # The known answers that come with Salmon et al. (2011).
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (
            [0xFFFFFFFF] * 4,
            (0xFFFFFFFF, 0xFFFFFFFF),
            [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        ),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, expected):
    words = philox([torch.tensor([word]) for word in counter], key)
    assert [int(word) for word in words] == expected


def draws(index, seed=1, stream=0):
    noise = Noise(seed, torch.as_tensor(index), stream)
    return noise.normal(3, 5), noise.uniform(7), noise.integers(10)


def test_noise_of_no_channels_is_empty():
    assert Noise(1, torch.arange(4)).normal(0, 8, 8).shape == (4, 0, 8, 8)


def test_noise_belongs_to_the_image_not_to_the_batch():
    whole = draws(range(8))
    for start, stop in ((0, 3), (3, 8)):
        for part, all_of_it in zip(draws(range(start, stop)), whole, strict=True):
            assert torch.equal(part, all_of_it[start:stop])


@pytest.mark.parametrize("other", [{"seed": 2}, {"stream": 1}])
def test_seeds_and_streams_differ(other):
    for one, two in zip(draws(range(8)), draws(range(8), **other), strict=True):
        assert not torch.equal(one, two)


def test_draws_of_one_image_differ():
    noise = Noise(0, torch.arange(2))
    assert not torch.equal(noise.normal(16), noise.normal(16))


def test_images_far_into_a_run_have_noise_of_their_own():
    near, far = draws([5])[0], draws([5 + 2**32])[0]
    assert not torch.equal(near, far)


def test_a_part_starts_from_the_first_draw():
    noise = Noise(0, torch.arange(6))
    first = noise.normal(4)
    assert torch.equal(noise.part(2, 5).normal(4), first[2:5])


def test_normal_numbers_are_normal():
    x = Noise(0, torch.arange(500)).normal(400).double()
    assert x.dtype == torch.float64
    assert abs(x.mean()) < 0.01
    assert abs(x.var() - 1) < 0.02
    assert abs(x.pow(4).mean() - 3) < 0.1
    neighbours = torch.corrcoef(torch.stack([x[:, :-1].flatten(), x[:, 1:].flatten()]))[0, 1]
    images = torch.corrcoef(torch.stack([x[:-1].flatten(), x[1:].flatten()]))[0, 1]
    assert abs(neighbours) < 0.01
    assert abs(images) < 0.01
    assert torch.isfinite(x).all()


def test_integers_are_uniform():
    counts = Noise(0, torch.arange(40_000)).integers(4).bincount()
    assert len(counts) == 4
    assert (counts - 10_000).abs().max() < 400


def test_uniform_numbers_stay_below_one():
    x = Noise(0, torch.arange(100)).uniform(1000)
    assert 0 <= x.min() < 0.001
    assert 0.999 < x.max() < 1
