"""A test ends in the row of a paper's table, printed and in the run's folder."""

import csv
import json
from pathlib import Path

import pytest
import torch

from tests.places import TINY
from tests.processes import fit_apart, run_apart
from wavelight.__main__ import main
from wavelight.callbacks.throughput import DEVICE_HOURS_KEY
from wavelight.checkpoints.loading import load
from wavelight.systems.cost import cost
from wavelight.training.result_row import RESULTS, ResultRow
from wavelight.training.stored_options import folder_of_run
from wavelight.weights import read_checkpoint

FEW = [
    "--data.val_images=0",
    "--data.test_images=12",
    "--data.source.images=64",
    "--evaluation.reference_images=32",
    "--trainer.max_epochs=1",
]
ROW = ResultRow(
    run="sgm",
    checkpoint="best.ckpt",
    metrics={"test/fid50k": 3.75123, "test/recall50k": 0.57},
    milliseconds=4.0,
    peak_memory=2_000_000_000,
    cost={"nfe": 4, "gmacs": 12.34, "parameters": 131_000_000},
    images_seen=25_600_000,
    device_hours=12.5,
    device="NVIDIA A100",
    devices=4,
)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("trained")
    main(["fit", "--config", str(TINY), *FEW, "--trainer.default_root_dir", str(root / "run")])
    return root / "run" / "checkpoints" / "last.ckpt"


def cells(table):
    header, _, row = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    return dict(zip(header, row, strict=True))


def test_a_row_has_what_papers_print():
    assert cells(ROW.table) == {
        "run": "sgm",
        "checkpoint": "best.ckpt",
        "fid50k": "3.751",
        "recall50k": "0.57",
        "NFE": "4",
        "ms an image": "4",
        "images/s": "1000",
        "10^6 parameters": "131",
        "GMACs": "12.34",
        "peak memory MB": "2000",
        "images seen": "25,600,000",
        "device hours": "12.5",
    }
    assert "4 x NVIDIA A100" in ROW.table


def test_what_is_not_known_is_a_dash():
    found = cells(ROW._replace(cost={}, device_hours=None).table)
    assert [name for name, cell in found.items() if cell == "-"] == [
        "NFE",
        "10^6 parameters",
        "GMACs",
        "device hours",
    ]


def test_rows_of_other_checkpoints_stay_and_a_damaged_file_is_replaced(tmp_path):
    ROW.write(tmp_path)
    ROW._replace(checkpoint="last.ckpt", milliseconds=8.0).write(tmp_path)
    rows = json.loads((tmp_path / RESULTS).read_text())
    assert {name: row["images_per_second"] for name, row in rows.items()} == {
        "best.ckpt": 1000,
        "last.ckpt": 500,
    }
    (tmp_path / RESULTS).write_text("{")
    ROW.write(tmp_path)
    assert list(json.loads((tmp_path / RESULTS).read_text())) == ["best.ckpt"]


def test_a_test_ends_in_its_row(trained, capsys):
    folder = trained.parents[1]
    main(["test", "--ckpt_path", str(trained)])
    printed = cells(capsys.readouterr().out)
    row = json.loads((folder / RESULTS).read_text())["last.ckpt"]
    with (folder / "metrics.csv").open() as file:
        logged = float(list(csv.DictReader(file))[-1]["test/fwd12"])
    networks = cost(load(trained))
    assert row["metrics"] == {"test/fwd12": pytest.approx(logged, rel=1e-6)}
    assert row["cost"] == {
        "nfe": sum(each.evaluations for each in networks),
        "gmacs": sum(each.macs for each in networks) / 1e9,
        "parameters": sum(each.parameters for each in networks),
    }
    assert row["cost"]["nfe"] == 2
    assert row["images_seen"] == 24
    assert row["device_hours"] == read_checkpoint(trained)[DEVICE_HOURS_KEY] > 0
    assert row["milliseconds"] > 0
    assert row["peak_memory"] > 1e6
    assert printed["fwd12"] == f"{logged:.4g}"
    assert printed["ms an image"] == f"{row['milliseconds']:.4g}"


def test_a_checkpoint_that_does_not_say_its_hours_has_a_dash(trained, capsys):
    content = read_checkpoint(trained)
    del content[DEVICE_HOURS_KEY]
    torch.save(content, "old.ckpt")
    main(["test", "--ckpt_path", "old.ckpt"])
    assert cells(capsys.readouterr().out)["device hours"] == "-"
    assert (
        json.loads((folder_of_run(Path("old.ckpt")) / RESULTS).read_text())["old.ckpt"][
            "device_hours"
        ]
        is None
    )


def test_a_trial_of_the_code_leaves_no_row(trained, capsys):
    main(["test", "--ckpt_path", str(trained), "--trainer.fast_dev_run=1"])
    assert "|" not in capsys.readouterr().out


@pytest.mark.ddp
@pytest.mark.slow
def test_of_two_processes_one_prints_the_row(tmp_path):
    folder = tmp_path / "run"
    fit_apart(folder, [TINY], *FEW)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    done = run_apart("test", folder, [], "--ckpt_path", checkpoint, "--trainer.devices=2")
    assert done.returncode == 0, done.stderr[-3000:]
    found = cells(done.stdout)
    row = json.loads((folder / RESULTS).read_text())["last.ckpt"]
    assert row["devices"] == 2
    assert found["images/s"] == f"{2e3 / row['milliseconds']:.4g}"
