"""Systems learn the same on any number of processes, from batches whole or in parts: losses, weights and averages."""

from functools import cache

import pytest
import torch

from tests.learning import SYSTEMS, WHOLE, learn, learn_together, start

BOUND = 1e-5

SOME = [("hybrid_gano", 1), ("wavediff", 1), ("wavediff", 2), ("sgm", 2), ("hybrid_modern", 2)]

PARTS = (1, 2, 4)


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


def check_processes(folder, processes, cases, alone):
    ranks = learn_together(folder, processes, cases)
    for case in cases:
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
    check_processes(tmp_path, 2, SOME, alone)


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
@pytest.mark.parametrize("parts", PARTS[1:])
@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in WHOLE])
def test_parts_learn_what_whole_batches_do(tmp_path, alone, name, parts):
    assert_learnt_the_same(learn(tmp_path, name, parts), alone(name))


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("name", SYSTEMS)
def test_every_number_of_processes_learns_what_one_does(tmp_path, alone, name, processes):
    parts = PARTS[:1] if name in WHOLE else PARTS
    check_processes(tmp_path, processes, [(name, each) for each in parts], alone)
