"""What holds for the noise of any images."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import EXAMPLES
from wavelight.noise import Noise

SEEDS = st.integers(0, 2**32 - 1)
STREAMS = st.integers(0, 2**16 - 1)
INDICES = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=8, unique=True)
SHAPES = st.lists(st.integers(0, 5), max_size=3)
DRAWS = st.lists(st.tuples(st.sampled_from(["normal", "uniform"]), SHAPES), min_size=1, max_size=4)


def samples(noise, draws):
    return [getattr(noise, kind)(*shape) for kind, shape in draws]


@given(SEEDS, INDICES, STREAMS, DRAWS, st.data())
@EXAMPLES
def test_an_image_has_its_noise_in_any_batch_and_order(seed, index, stream, draws, data):
    whole = samples(Noise(seed, torch.tensor(index), stream), draws)
    order = torch.tensor(data.draw(st.permutations(range(len(index)))))
    again = samples(Noise(seed, torch.tensor(index)[order], stream), draws)
    for (_, shape), one, other in zip(draws, whole, again, strict=True):
        assert one.shape == (len(index), *shape)
        assert one.dtype == torch.float32
        assert torch.equal(one[order], other)

    start = data.draw(st.integers(0, len(index) - 1))
    part = samples(Noise(seed, torch.tensor(index), stream).part(start, len(index)), draws)
    assert all(torch.equal(one[start:], cut) for one, cut in zip(whole, part, strict=True))


@given(SEEDS, INDICES, STREAMS, st.integers(1, 2**31))
@EXAMPLES
def test_numbers_lie_where_they_should(seed, index, stream, high):
    noise = Noise(seed, torch.tensor(index), stream)
    assert noise.normal(64).isfinite().all()
    uniform = noise.uniform(64)
    assert ((uniform >= 0) & (uniform < 1)).all()
    integers = noise.integers(high)
    assert ((integers >= 0) & (integers < high)).all()
    assert integers.dtype == torch.int64


@given(SEEDS, SEEDS, INDICES, STREAMS, STREAMS)
@EXAMPLES
def test_other_seeds_streams_images_and_draws_have_other_noise(seed, other, index, stream, another):
    def normal(seed, stream):
        return Noise(seed, torch.tensor(index), stream).normal(4)

    noise = Noise(seed, torch.tensor(index), stream)
    first, second = noise.normal(4), noise.normal(4)
    rows = torch.cat([first, second])
    assert len(rows.unique(dim=0)) == len(rows)
    assert torch.equal(normal(other, stream), first) == (seed == other)
    assert torch.equal(normal(seed, another), first) == (stream == another)
