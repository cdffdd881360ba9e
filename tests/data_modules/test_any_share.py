"""What holds for any number of images, processes and batch size."""

from itertools import chain, islice

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_modules import Scenes
from data_modules.batches import GlobalBatches, TrainingStream, cut, share
from data_modules.order import Permutation
from tests.examples import EXAMPLES

COUNTS = st.integers(0, 10_000)
RANKS = st.integers(1, 65)


@given(COUNTS, RANKS, st.integers(1, 300))
@EXAMPLES
def test_processes_have_each_number_once_in_its_order(count, ranks, batch_size):
    shares = [share(count, rank, ranks) for rank in range(ranks)]
    assert list(chain(*shares)) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for numbers in shares:
        batches = cut(numbers, batch_size)
        assert list(chain(*batches)) == list(numbers)
        assert all(len(batch) == batch_size for batch in batches[:-1])


@given(st.integers(1, 64), RANKS, st.integers(0, 1000))
@EXAMPLES
def test_processes_share_a_global_batch(images, ranks, start):
    batch_size = images * ranks
    batches = []
    for rank in range(ranks):
        sampler = GlobalBatches(batch_size, rank, ranks)
        sampler.start = start
        batches.append(list(islice(sampler, 3)))
    for number, parts in enumerate(zip(*batches, strict=True)):
        begin = start + number * batch_size
        assert list(chain(*parts)) == list(range(begin, begin + batch_size))
        assert {len(part) for part in parts} == {images}


@given(st.integers(1, 5000), st.lists(st.integers(0, 2**63), max_size=3))
@EXAMPLES
def test_a_permutation_has_each_thing_once(count, key):
    order = Permutation(count, *key)
    things = order(np.arange(count))
    assert sorted(things.tolist()) == list(range(count))
    half = count // 2
    assert order(np.arange(half, count)).tolist() == things[half:].tolist()


@given(st.integers(2, 40), st.integers(1, 4), st.integers(1, 3), st.integers(0, 100), st.booleans())
@EXAMPLES
def test_processes_train_on_the_images_of_one(images, ranks, each, start, flip):
    stream = TrainingStream(Scenes(images), 8, 7, flip, 0)
    whole = stream[range(start, start + ranks * each)].batch
    for rank in range(ranks):
        first = start + rank * each
        part = stream[range(first, first + each)].batch
        for name, values in part.items():
            assert values.equal(whole[name][rank * each : (rank + 1) * each])
