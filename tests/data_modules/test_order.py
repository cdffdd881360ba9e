from collections import Counter

import numpy as np
import pytest

from data_modules.order import Permutation, hash_numbers


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10, 97, 1000])
def test_a_permutation_holds_each_thing_once(count):
    assert sorted(Permutation(count, 1, 2)(range(count)).tolist()) == list(range(count))


def test_any_element_is_found_alone():
    whole = Permutation(1000, 3)(range(1000))

    assert [int(Permutation(1000, 3)(place)[0]) for place in range(0, 1000, 50)] == whole[
        ::50
    ].tolist()


def test_another_key_gives_an_unrelated_order():
    first, second = (Permutation(10_000, seed, 0)(range(10_000)) for seed in (0, 1))

    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.05


def test_all_orders_of_three_things_are_equally_likely():
    counts = Counter(tuple(Permutation(3, key)(range(3)).tolist()) for key in range(1200))

    assert len(counts) == 6
    assert max(counts.values()) < 260, "expected 200 of each, standard deviation 13"


def test_a_billion_things_need_no_memory():
    places = np.array([0, 10**9 - 1, 123_456_789])

    things = Permutation(10**9, 7)(places)

    assert len(set(things.tolist())) == 3
    assert (things >= 0).all()
    assert (things < 10**9).all()


def test_half_of_the_bits_are_set():
    bits = hash_numbers(range(20_000), 5) & np.uint64(1)

    assert abs(bits.mean() - 0.5) < 0.015


@pytest.mark.parametrize(("count", "places"), [(0, [0]), (5, [5]), (5, [2, -1])])
def test_places_of_nothing_are_refused(count, places):
    with pytest.raises(ValueError, match="places must be 0 to"):
        Permutation(count, 1)(places)


def test_no_places_have_no_things():
    assert Permutation(0, 1)([]).tolist() == []
