"""Systems learn the same on any number of processes, from batches whole or in parts: losses, weights and averages."""

from functools import cache

import pytest
import torch

from tests.learning import SYSTEMS, WHOLE, learn, learn_together, start

BOUND = 1e-5

SOME = [("hybrid_gano", 1), ("wavediff", 2), ("sgm", 2)]
CASES = [
    (name, parts) for name in SYSTEMS for parts in (1, 2, 4) if parts == 1 or name not in WHOLE
]
"""Systems, and into how many parts each process cuts its share of a batch."""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process learns from whole batches."""
    return cache(lambda name: learn(tmp_path_factory.mktemp(name), name))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(
            found[key], value, atol=BOUND, rtol=0, msg=lambda text, key=key: f"{key}: {text}"
        )


def assert_learnt_the_same(found, expected):
    assert len(found["losses"]) == len(expected["losses"]) == 10
    for batch, other in zip(found["losses"], expected["losses"], strict=True):
        assert_same(batch, other)
    assert_same(found["tensors"], expected["tensors"])
    assert_same(found["averaged"], expected["averaged"])


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def check_ranks(ranks, case, alone):
    first, *others = (rank[case] for rank in ranks)
    assert_learnt_the_same(first, alone(case[0]))
    for other in others:
        # Whatever rank samples or measures, it does with the same networks.
        for part in ("tensors", "averaged"):
            assert_equal(first[part], other[part])
        for batch, same in zip(first["losses"], other["losses"], strict=True):
            assert_equal(batch, same)


@pytest.mark.ddp
def test_two_processes_learn_what_one_does(tmp_path, alone):
    ranks = learn_together(tmp_path, 2, SOME)
    for case in SOME:
        check_ranks(ranks, case, alone)


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEMS)
def test_every_network_moves_by_far_more_than_the_bound(alone, name):
    before, after = start(name), alone(name)["tensors"]
    networks = {}
    for key, value in before.items():
        if value.is_floating_point():
            moved = (after[key] - value).abs().max().item()
            network = ".".join(key.split(".")[:3])
            networks[network] = max(moved, networks.get(network, 0))
    learnt = {name: moved for name, moved in networks.items() if name.startswith("models.")}
    assert min(learnt.values()) > 100 * BOUND, learnt


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parts"), [case for case in CASES if case[1] > 1])
def test_parts_learn_what_whole_batches_do(tmp_path, alone, name, parts):
    assert_learnt_the_same(learn(tmp_path, name, parts), alone(name))


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What each of a number of processes learns, of all cases."""
    return cache(
        lambda processes: learn_together(tmp_path_factory.mktemp("together"), processes, CASES)
    )


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-in-{case[1]}")
def test_every_number_of_processes_learns_what_one_does(alone, together, case, processes):
    check_ranks(together(processes), case, alone)
