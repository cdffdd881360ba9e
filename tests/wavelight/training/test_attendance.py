"""Attendance: who is missed, when, and in which words; on pipes, with ticks for time."""

from multiprocessing import Pipe

import pytest

from wavelight.training.attendance import (
    _CUT_OFF_TICKS,
    _HEARD_TICKS,
    _SILENT_TICKS,
    TICK_SECONDS,
    Attendance,
)
from wavelight.training.lines import Member, Peer
from wavelight.training.roll_call import Roll

STANDING = "; that was after 12 batches: go on with --ckpt_path last"


class Job:
    """Three processes' attendances, joined by pipes, in one process."""

    def __init__(self):
        members = [Member(rank, f"host{rank}", 100 + rank) for rank in range(3)]
        ends = {rank: Pipe() for rank in (1, 2)}
        rolls = [Roll(members[0], {r: Peer(members[r], ends[r][0]) for r in ends}, None)]
        rolls += [Roll(members[r], {0: Peer(members[0], ends[r][1])}, None) for r in ends]
        self.said = [[], [], []]
        self.ranks = [
            Attendance(roll, lambda: STANDING, said.append)
            for roll, said in zip(rolls, self.said, strict=True)
        ]
        self.frozen = set()

    def hear(self):
        for number, rank in enumerate(self.ranks):
            if number in self.frozen:
                continue
            for other, line in [*rank.lines.items()]:
                while other in rank.lines and line.poll():
                    rank.hear(other)

    def pass_ticks(self, ticks):
        for _ in range(ticks):
            for number, rank in enumerate(self.ranks):
                if number not in self.frozen:
                    rank.tick()
            self.hear()

    def kill(self, number):
        for line in self.ranks[number].lines.values():
            line.close()
        self.frozen.add(number)
        self.hear()


@pytest.fixture
def job():
    return Job()


def test_of_a_job_that_is_well_nothing_is_said(job):
    job.pass_ticks(3 * _SILENT_TICKS)
    assert job.said == [[], [], []]


@pytest.mark.parametrize("number", [0, 1])
def test_one_that_dies_is_named_at_once_by_all_others(job, number):
    job.kill(number)
    job.hear()
    for other in {0, 1, 2} - {number}:
        (sentence,) = job.said[other]
        assert sentence.startswith(
            f"rank {number} (host{number}, process {100 + number}) died without a word"
        )
        assert sentence.endswith(STANDING)
    assert job.said[number] == []


@pytest.mark.parametrize("number", [0, 1])
def test_one_that_is_frozen_is_named_within_a_minute(job, number):
    job.frozen.add(number)
    job.pass_ticks(_SILENT_TICKS - 1)
    assert job.said == [[], [], []]
    job.pass_ticks(2)
    for other in {0, 1, 2} - {number}:
        (sentence,) = job.said[other]
        assert sentence.startswith(f"rank {number} (host{number}")
        assert "has not been heard of for 30 seconds" in sentence
    assert _SILENT_TICKS * TICK_SECONDS < 60


def test_a_job_that_was_frozen_as_a_whole_goes_on(job):
    job.frozen = {0, 1, 2}
    job.pass_ticks(10 * _SILENT_TICKS)
    job.frozen = set()
    job.pass_ticks(_SILENT_TICKS)
    assert job.said == [[], [], []]


@pytest.mark.parametrize("number", [0, 1])
def test_one_that_ends_by_a_fault_is_named_with_it_and_may_go_when_it_was(job, number):
    job.ranks[number].leave("ValueError: no such band")
    job.hear()
    job.pass_ticks(_HEARD_TICKS - 1)
    assert job.said == [[], [], []]
    assert not job.ranks[number].may_go
    job.pass_ticks(3)
    assert job.ranks[number].may_go
    job.kill(number)
    for other in {0, 1, 2} - {number}:
        (sentence,) = job.said[other]
        assert "ended with ValueError: no such band" in sentence
        assert sentence.startswith(f"rank {number} ")


def test_a_fault_of_all_is_told_by_each_itself(job):
    for rank in job.ranks:
        rank.leave("ValueError: no such band")
    job.pass_ticks(10 * _HEARD_TICKS)
    assert job.said == [[], [], []]
    assert job.ranks[0].may_go


def test_those_that_leave_in_peace_are_not_missed_and_the_first_goes_last(job):
    job.ranks[1].leave(None)
    job.hear()
    job.pass_ticks(_SILENT_TICKS + 1)
    assert not job.ranks[1].may_go
    job.ranks[0].leave(None)
    assert not job.ranks[0].may_go
    job.ranks[2].leave(None)
    job.hear()
    assert job.ranks[0].may_go
    job.ranks[0].let_go()
    job.hear()
    assert job.ranks[1].may_go
    assert job.ranks[2].may_go
    job.kill(0)
    assert job.said == [[], [], []]


def test_of_a_failed_collective_the_one_that_took_no_part_is_named(job):
    job.ranks[0].cut_off()
    job.ranks[1].cut_off()
    job.hear()
    job.pass_ticks(_CUT_OFF_TICKS)
    for said in job.said:
        (sentence,) = said
        assert sentence.startswith("rank 2 (host2, process 102) hangs")


def test_a_failed_collective_of_all_accuses_nobody(job):
    for rank in job.ranks:
        rank.cut_off()
    job.pass_ticks(2 * _CUT_OFF_TICKS)
    assert job.said == [[], [], []]


def test_one_that_was_cut_off_says_at_once_whose_fault_it_is(job):
    job.ranks[1].leave("ValueError: no such band")
    job.ranks[0].cut_off()
    job.hear()
    assert len(job.said[0]) == 1
