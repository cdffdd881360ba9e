"""Seeds of one system are one row, and other runs are not."""

import numpy as np
import pytest
from scipy import stats

from tests.run_folders import config_of, write_run
from wavelight.evaluation.results.inputs import read_inputs
from wavelight.evaluation.results.paired import paired_tests
from wavelight.evaluation.results.pareto import pareto_front
from wavelight.evaluation.results.records import Column
from wavelight.evaluation.results.sections import sections_of
from wavelight.evaluation.results.systems import systems_of

FID = Column("fid", 50_000, "test")


def runs(tmp_path, name, tested, steps=4, **data):
    """Write a run for each seed, by its FID."""
    return [
        write_run(
            tmp_path / name / f"seed-{seed}",
            seed,
            tested=fid,
            config=config_of(seed, steps, **data),
        )
        for seed, fid in tested.items()
    ]


def systems(folders):
    found, _ = systems_of(read_inputs(folders).records)
    return found


def test_seeds_are_one_system_with_their_mean(tmp_path):
    values = {1: 4.0, 2: 5.0, 3: 4.5}
    system, alone = systems(
        runs(tmp_path, "gan", values) + runs(tmp_path, "more", {1: 3.0}, steps=8)
    )
    assert (system.name, alone.name) == ("gan", "more/seed-1")
    low, high = stats.t.interval(0.95, 2, loc=4.5, scale=stats.sem(list(values.values())))
    mean = system.mean(FID)
    assert (mean.value - mean.half_width, mean.value + mean.half_width) == pytest.approx(
        (low, high)
    )
    assert system.device_hours == 3 * 1.25
    assert alone.mean(FID) == (3.0, float("inf"))


def test_neighbours_with_other_options_are_told(tmp_path):
    folders = runs(tmp_path, "gan", {1: 4.0}) + runs(tmp_path, "gan", {2: 4.0}, steps=8)
    found, notes = systems_of(read_inputs(folders).records)
    assert len(found) == 2
    assert notes == [
        "gan/seed-1 and gan/seed-2 are not joined as seeds of one system, because model.steps is 4 in the first and 8 "
        "in the second."
    ]


def test_a_paired_test_is_that_of_the_differences(tmp_path):
    # Differences 1, 2, 3: t = 2 sqrt(3) with two degrees of freedom.
    one = runs(tmp_path, "one", {1: 4.0, 2: 6.0, 3: 8.0})
    other = runs(tmp_path, "other", {3: 5.0, 2: 4.0, 1: 3.0, 4: 99.0}, steps=8)
    (test,) = paired_tests(systems(one + other), [FID])
    assert (test.one, test.other, test.pairs, test.difference) == ("one", "other", 3, 2.0)
    assert test.p_value == pytest.approx(1 - np.sqrt(12 / 14))
    assert test.interval == pytest.approx((2 - 4.302653 / np.sqrt(3), 2 + 4.302653 / np.sqrt(3)))


@pytest.mark.parametrize(("seed", "pairs"), [(1, 1), (9, 0)])
def test_fewer_than_two_pairs_claim_nothing(tmp_path, seed, pairs):
    one = runs(tmp_path, "one", {1: 4.0, 2: 6.0})
    other = runs(tmp_path, "other", {seed: 5.0}, steps=8)
    (test,) = paired_tests(systems(one + other), [FID])
    assert (test.pairs, test.difference, test.p_value) == (pairs, None, None)


def test_equal_differences_have_no_interval(tmp_path):
    one = runs(tmp_path, "one", {1: 4.0, 2: 6.0})
    other = runs(tmp_path, "other", {1: 3.0, 2: 5.0}, steps=8)
    (test,) = paired_tests(systems(one + other), [FID])
    assert (test.difference, test.interval, test.p_value) == (1.0, None, None)


def test_other_data_are_sections_of_their_own(tmp_path):
    folders = runs(tmp_path, "a", {1: 4.0})
    folders += runs(tmp_path, "b", {1: 4.0}, image_size=64)
    folders += runs(tmp_path, "c", {1: 4.0}, steps=8)
    sections, (sentence,) = sections_of(read_inputs(folders).records)
    assert [[system.name for system in each.systems] for each in sections] == [
        ["a/seed-1", "c/seed-1"],
        ["b/seed-1"],
    ]
    assert sentence.endswith(
        "because their data differ: data.image_size is 32 in the first and 64 in the second."
    )


def test_data_are_the_same_wherever_they_lie(tmp_path):
    folders = runs(tmp_path, "a", {1: 4.0})
    elsewhere = {"class_path": "data_modules.CIFAR10", "init_args": {"root": "/scratch"}}
    folders += runs(tmp_path, "b", {1: 4.0}, steps=8, source=elsewhere)
    sections, notes = sections_of(read_inputs(folders).records)
    assert (len(sections), notes) == (1, [])


def test_the_papers_table_is_that_of_the_data(tmp_path):
    (section,), _ = sections_of(read_inputs(runs(tmp_path, "a", {1: 4.0})).records)
    assert [table.title for table in section.published] == ["CIFAR-10"]
    assert section.main == FID


def test_validations_are_shown_where_a_run_has_no_test(tmp_path):
    tested = runs(tmp_path, "a", {1: 4.0, 2: 5.0})
    untested = runs(tmp_path, "b", {1: None, 2: None}, steps=8)
    for folders, stages in ((tested, ["test"]), (tested + untested, ["test", "val"])):
        (section,), _ = sections_of(read_inputs(folders).records)
        assert [column.stage for column in section.columns if column.metric == "fid"] == stages
    # The validations of all can be compared.
    found = {
        test.column.stage: test.pairs for test in paired_tests(section.systems, section.columns)
    }
    assert found == {"val": 2}
    assert section.main == Column("fid", 10_000, "val")


def test_tests_of_two_systems_are_plotted_though_a_third_has_none(tmp_path):
    folders = runs(tmp_path, "a", {1: 4.0}) + runs(tmp_path, "b", {1: 4.0}, steps=8)
    folders += runs(tmp_path, "c", {1: None}, steps=16)
    (section,), _ = sections_of(read_inputs(folders).records)
    assert section.main == FID


def test_other_options_of_a_metric_are_told(tmp_path):
    folders = []
    for seed, side in ((1, 4), (2, 8)):
        metric = {
            "class_path": "wavelight.metrics.FrechetWaveletDistance",
            "init_args": {"packet_side": side},
        }
        config = config_of(seed, steps=seed) | {"evaluation": {"metrics": [metric]}}
        folders.append(write_run(tmp_path / str(seed), seed, tested=4.0, config=config))
    (section,), _ = sections_of(read_inputs(folders).records)
    assert any(
        "FrechetWaveletDistance.packet_side is 4 in the first and 8" in note
        for note in section.notes
    )


def test_no_point_surpasses_one_of_the_front():
    generator = np.random.default_rng(0)
    points = [tuple(point) for point in generator.integers(0, 12, (60, 2)).tolist()]
    for sign in (1, -1):
        front = pareto_front(points, lambda one, other, sign=sign: sign * one < sign * other)
        surpassed = [
            point
            for point in points
            if any(
                other[0] <= point[0] and sign * other[1] <= sign * point[1] and other != point
                for other in points
            )
        ]
        assert set(front) == set(points) - set(surpassed)
        assert len(front) == len(set(front))
