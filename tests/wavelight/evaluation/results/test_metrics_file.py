"""metrics.csv is read while it is written, and of runs of any age."""

import pytest

from tests.run_folders import write_run
from wavelight.evaluation.results.metrics_file import column_of, curves_of, read_metrics, scores_of
from wavelight.evaluation.results.records import Column, Score

FID = Column("fid", 10_000, "val")
RECALL = Column("recall", 10_000, "val")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.csv"


def read(path, text):
    path.write_text(text)
    return read_metrics(path)


def values(metrics, column=FID):
    return [point.value for point in curves_of(metrics.logged)[column]]


def test_losses_are_no_metrics(path):
    metrics = read(path, "images_seen,train/loss,val/fid10k,val/fid10k_held_out\n8,1,2,3\n")
    assert [logged.column for logged in metrics.logged] == [FID]


def test_a_name_has_the_number_of_images(path):
    metrics = read(path, "images_seen,val/fwd2048,test/fwd_coarse50k\n8,1,2\n")
    assert [logged.column for logged in metrics.logged] == [
        Column("fwd", 2048, "val"),
        Column("fwd_coarse", 50_000, "test"),
    ]


@pytest.mark.parametrize("end", ["24,3.2", "24,", "2", "24,3.25,7\n"])
def test_a_line_that_is_cut_or_too_long_is_left_out(path, end):
    metrics = read(path, "images_seen,val/fid10k\n8,9.5\n16,6.5\n" + end)
    assert values(metrics) == [9.5, 6.5]
    assert metrics.damaged == 1


def test_rows_that_come_while_it_is_read_are_no_fault(path):
    metrics = read(path, "images_seen,val/fid10k\n8,9.5\n16,6.5\n")
    assert (values(metrics), metrics.damaged) == ([9.5, 6.5], 0)


def test_an_empty_file_has_nothing(path):
    assert read(path, "") == ([], None, 0)


def test_bytes_that_are_no_text_spoil_their_line_alone(path):
    path.write_bytes(b"images_seen,val/fid10k\n8,9.5\n\xff\xfe\n16,\x006.5\n")
    assert values(read_metrics(path)) == [9.5, 6.5]


def test_rows_without_images_seen_take_those_before(path):
    metrics = read(path, "images_seen,step,val/fid10k\n8,1,\n,1,9.5\n16,2,\n,2,6.5\n")
    assert [point.images_seen for point in curves_of(metrics.logged)[FID]] == [8, 16]


@pytest.mark.parametrize("value", ["nan", "inf", "", "x"])
def test_what_is_no_number_is_no_value(path, value):
    assert read(path, f"images_seen,val/fid10k\n8,{value}\n").logged == []


def test_an_evaluation_that_was_done_again_counts_once(path):
    assert values(read(path, "images_seen,val/fid10k\n8,9.5\n16,6.5\n8,9.25\n")) == [9.25, 6.5]


ROWS = "images_seen,val/fid10k,val/recall10k,test/fid50k,test/recall50k\n"


def test_the_best_validation_is_one_evaluation(path):
    metrics = read(path, ROWS + "8,9,0.5,,\n16,6,0.25,,\n24,7,0.75,,\n")
    assert scores_of(metrics.logged, "fid") == {FID: Score(6, 16), RECALL: Score(0.25, 16)}
    # Recall is better where it is higher.
    assert scores_of(metrics.logged, "recall") == {FID: Score(7, 24), RECALL: Score(0.75, 24)}


def test_the_newest_test_counts(path):
    metrics = read(path, ROWS + "8,9,0.5,,\n16,,,5,\n24,,,4,\n")
    assert scores_of(metrics.logged, "fid") == {
        Column("fid", 50_000, "test"): Score(4, 24),
        FID: Score(9, 8),
        RECALL: Score(0.5, 8),
    }


def test_without_a_monitor_fid_or_else_fwd_is_the_leading_one(path):
    metrics = read(path, "images_seen,val/density10k,val/fid10k\n8,1,9\n16,2,10\n")
    assert scores_of(metrics.logged, None)[FID] == Score(9, 8)
    metrics = read(path, "images_seen,val/density10k,val/fwd10k\n8,1,9\n16,2,10\n")
    assert scores_of(metrics.logged, "fid")[Column("fwd", 10_000, "val")] == Score(9, 8)


def test_curves_have_device_hours(tmp_path):
    folder = write_run(tmp_path / "run", 1, final=4.0)
    (*_, last) = curves_of(read_metrics(folder / "metrics.csv").logged)[FID]
    assert last == (100_000, 1.25, 4.0)


def test_device_hours_lie_between_those_that_were_logged(path):
    rows = "8,1,\n24,4,\n0,,9\n8,,8\n16,,7\n48,,6\n"
    metrics = read(path, f"images_seen,device_hours,val/fid10k\n{rows}")
    assert metrics.device_hours == 4
    curve = curves_of(metrics.logged)[FID]
    assert [(point.images_seen, point.device_hours) for point in curve] == [
        (0, 0),
        (8, 1),
        (16, 2.5),
        (48, 8),
    ]


def test_without_device_hours_none_are_made_up(path):
    metrics = read(path, "images_seen,val/fid10k\n8,9\n16,8\n")
    assert metrics.device_hours is None
    assert [point.device_hours for point in curves_of(metrics.logged)[FID]] == [None, None]


def test_emas_beside_a_runs_own_are_no_columns():
    assert column_of("val/fid2048_ema0_999") is None
    assert column_of("val/fid10k_ema0_9999") is None


def test_a_test_of_another_number_of_images_is_read_as_it_is():
    found = column_of("test/fid2500", counts=[500])
    assert (found.metric, found.images) == ("fid", 2500)
    assert column_of("test/fid12k", counts=[2000]).images == 12_000
