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


@pytest.mark.parametrize("images", [0, 4])
@pytest.mark.parametrize("shape", [(0,), (0, 8, 8), (3, 0), (), (2, 3)])
@pytest.mark.parametrize("sample", [Noise.normal, Noise.uniform])
def test_every_shape_is_filled(sample, shape, images):
    assert sample(Noise(1, torch.arange(images)), *shape).shape == (images, *shape)


@pytest.mark.parametrize("high", [-3, 0, 2**31 + 1])
def test_integers_of_an_empty_range_are_refused(high):
    with pytest.raises(ValueError, match=rf"high must be 1 to 2\^31, got {high}"):
        Noise(0, torch.arange(2)).integers(high)


def test_integers_of_the_largest_range_are_in_it():
    integers = Noise(0, torch.arange(1000)).integers(2**31)
    assert 0 <= integers.min() < integers.max() < 2**31
    assert Noise(0, torch.arange(5)).integers(1).tolist() == [0] * 5


@pytest.mark.parametrize(
    ("seed", "stream", "message"),
    [
        (-1, 0, "seed must be 0 to"),
        (2**32, 0, "seed must be 0 to"),
        (0, -1, "stream must be 0 to 65535, got -1"),
        (0, 2**16, "stream must be 0 to 65535, got 65536"),
    ],
)
def test_seeds_and_streams_out_of_range_are_refused(seed, stream, message):
    with pytest.raises(ValueError, match=message):
        Noise(seed, torch.arange(2), stream)
    Noise(2**32 - 1, torch.arange(2), 2**16 - 1).normal(1)


def test_a_stream_ends_before_the_next_one(monkeypatch):
    monkeypatch.setattr("wavelight.noise._SAMPLES", 3)
    noise = Noise(0, torch.arange(2), stream=5)
    samples = [noise.normal(4) for _ in range(3)]
    assert not any(
        torch.equal(sample, Noise(0, torch.arange(2), 6).normal(4)) for sample in samples
    )
    with pytest.raises(ValueError, match="stream 5 must give at most 3 samples"):
        noise.normal(4)
    assert torch.equal(noise.part(0, 2).normal(4), samples[0])


def test_a_stream_has_a_counter_of_sixteen_bits():
    noise = Noise(0, torch.arange(1))
    noise._draws = 2**16 - 1
    noise.normal(1)
    with pytest.raises(ValueError, match="at most 65536 samples"):
        noise.uniform(1)


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
