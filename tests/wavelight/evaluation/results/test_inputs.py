"""What can be read is read, and the rest is told in words; nothing is unpickled."""

import json
import pickle
import subprocess
import sys

import pytest
import torch
import yaml

from tests.places import ROOT
from tests.run_folders import config_of, write_run
from wavelight.callbacks import sample_grid
from wavelight.checkpoints import run_files
from wavelight.evaluation.results import run_folders, samples
from wavelight.evaluation.results.inputs import read_inputs
from wavelight.evaluation.results.records import Column

FID = Column("fid", 50_000, "test")


def good(folder):
    return write_run(folder / "good", 1, tested=4.0)


def without(name):
    def change(folder):
        (folder / name).unlink()

    return change


def written(name, text):
    def change(folder):
        (folder / name).write_text(text)

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("config.yaml"), "is no folder of a run: it has no config.yaml."),
        (written("config.yaml", "a: [b"), "config.yaml must be YAML: "),
        (written("config.yaml", "a: b"), "is no configuration of a run: it has no section `data`."),
        (
            written("config.yaml", "{data: {}, best: 3}"),
            "is no configuration of a run: best is no section.",
        ),
        (without("metrics.csv"), "has no metrics.csv: nothing was measured yet."),
        (
            written("metrics.csv", "images_seen,loss\n1,2\n"),
            "has no metric of images: nothing was measured yet.",
        ),
        (written("metrics.csv", "a" * 200_000), "metrics.csv must be a CSV file: field larger"),
        (written("metrics.csv", ""), "has no metric of images: nothing was measured yet."),
    ],
)
def test_a_folder_that_cannot_be_shown_leaves_the_others(tmp_path, change, sentence):
    half = write_run(tmp_path / "half", 2)
    change(half)
    records, notes = read_inputs([half, good(tmp_path)])
    assert [record.folder.name for record in records] == ["good"]
    (note,) = notes
    assert str(half) in note
    assert sentence in note


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("run.json"), "has no run.json: cost"),
        (written("run.json", '{"id": "a'), "run.json is damaged: cost"),
        (written("run.json", "[1]"), "run.json holds no record of a run: cost"),
        (written("run.json", "[" * 100_000), "run.json is damaged: cost"),
    ],
)
def test_a_run_without_its_record_is_shown_all_the_same(tmp_path, change, sentence):
    folder = good(tmp_path)
    change(folder)
    (record,), (note,) = read_inputs([folder])
    assert record.scores[FID].value == 4.0
    assert record.cost == (None, None, None)
    # metrics.csv has them, too.
    assert record.training.device_hours == 1.25
    assert record.data.title == "cifar10, 32 px"
    assert sentence in note


def test_facts_of_another_kind_are_left_out(tmp_path):
    facts = {
        "cost": {"nfe": "four", "gmacs": True},
        "device_hours": [],
        "published": 3,
        "held_out": {"x": 1},
    }
    folder = write_run(tmp_path / "run", 1, tested=4.0, **facts)
    (record,), notes = read_inputs([folder])
    assert record.cost == (None, None, None)
    assert (record.published, record.held_out, notes) == (None, {}, [])


def test_a_metric_may_end_with_a_digit(tmp_path):
    config = config_of(1, val_images=2048, test_images=[])
    folder = write_run(tmp_path / "run", 1, config=config)
    (folder / "metrics.csv").write_text("images_seen,val/fd_dinov22048\n8,120\n")
    (record,), _ = read_inputs([folder])
    assert record.scores == {Column("fd_dinov2", 2048, "val"): (120, 8)}


def test_a_checkpoint_stands_for_its_run_and_is_not_opened(tmp_path, monkeypatch):
    folder = good(tmp_path)
    (folder / "checkpoints").mkdir()
    path = folder / "checkpoints" / "last.ckpt"
    path.write_bytes(b"no checkpoint")

    def refuse(*args, **kwargs):
        raise AssertionError("something is unpickled")

    for module, name in (
        (torch, "load"),
        (pickle, "load"),
        (pickle, "loads"),
        (pickle, "Unpickler"),
    ):
        monkeypatch.setattr(module, name, refuse)
    records, notes = read_inputs([path, folder, folder / "checkpoints" / "best.ckpt"])
    assert [record.folder for record in records] == [folder]
    assert notes == []


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.npz", b"PK", "x.npz is no run's folder, no checkpoint and no JSON file."),
        ("x.ckpt", b"PK", "x.ckpt lies in no run's folder, and a checkpoint alone is not read."),
        ("x.json", b"[1]", "x.json is no file of `wavelight compare` or `wavelight measure`."),
        ("x.json", b'{"rows": [{"run": "a"}]}', "x.json is no file of `wavelight compare`"),
        ("x.json", b'{"measured": {"folder": "a"}}', "x.json is no file of `wavelight compare`"),
        (
            "x.json",
            b'{"rows": [{"training_seed": [1]}]}',
            "x.json is no file of `wavelight compare`",
        ),
        ("x.json", b"\xff", "x.json is no file of `wavelight compare`"),
    ],
)
def test_files_of_another_kind_are_told(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    records, (note,) = read_inputs([tmp_path / name, good(tmp_path)])
    assert len(records) == 1
    assert sentence in note


def test_nothing_to_show_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="runs must name something to show, got nothing that can be: there is no "
    ):
        read_inputs([tmp_path / "gone"])


def test_a_folder_of_runs_stands_for_them(tmp_path):
    folders = [write_run(tmp_path / "runs" / name, 1, tested=4.0) for name in ("b", "a")]
    # As W&B leaves them in a run, and what is no run beside it.
    inside = folders[0] / "wandb" / "offline-run-1" / "files"
    inside.mkdir(parents=True)
    (inside / "config.yaml").write_text("{}")
    (tmp_path / "runs" / "c").mkdir()
    records, notes = read_inputs([tmp_path / "runs"])
    assert [record.folder for record in records] == sorted(folders)
    assert notes == []


def test_runs_of_one_name_are_told_apart(tmp_path):
    folders = [write_run(tmp_path / part / "gan" / "seed-1", 1, tested=4.0) for part in "ab"]
    records, _ = read_inputs(folders)
    assert [record.name for record in records] == [str(folder) for folder in folders]


def comparison(tmp_path, **changes):
    networks = [{"name": "", "parameters": 10, "evaluations": 4, "macs": 10**9}]
    config = config_of(1)["data"]
    row = {
        "run": "gan/seed-1",
        "system": "gan",
        "training_seed": 1,
        "checkpoint": "runs/gan/seed-1/checkpoints/last.ckpt",
        "trained_on": {"name": "cifar10"} | config,
        "images_seen": 64,
        "steps": [4],
        "networks": networks,
        "values": {"fwd": 2.5},
        "conditions": {"images": 2048, "reference_images": None},
    } | changes
    path = tmp_path / "compare.json"
    path.write_text(json.dumps({"rows": [row]}))
    return path


def test_rows_of_compare_are_records(tmp_path):
    (record,), notes = read_inputs([comparison(tmp_path)])
    assert notes == []
    assert (record.name, record.seed, record.variant) == (
        "gan/seed-1, steps 4 (compare)",
        1,
        "gan, steps 4 (compare)",
    )
    assert record.scores == {Column("fwd", 2048, "compare"): (2.5, 64)}
    assert record.cost == (4, 1.0, 10)
    assert record.data.title == "cifar10, 32 px"


def test_other_real_images_are_another_column(tmp_path):
    conditions = {"images": 2048, "reference_images": 4096}
    (record,), _ = read_inputs([comparison(tmp_path, conditions=conditions)])
    assert record.scores.keys() == {Column("fwd", 2048, "compare", "against 4,096 real images")}


def test_a_folder_of_images_is_a_record(tmp_path):
    content = {
        "folder": "samples/ddpm",
        "images": 50_000,
        "reference": "cifar10.npz",
        "values": {"fid": 3.2},
    }
    path = tmp_path / "measured.json"
    path.write_text(json.dumps({"measured": content}))
    (record,), _ = read_inputs([path])
    assert record.name == "ddpm"
    assert record.scores == {Column("fid", 50_000, "measure", "against cifar10.npz"): (3.2, None)}


def test_yaml_that_stands_for_too_much_is_told(tmp_path):
    folder = write_run(tmp_path / "bomb", 1)
    rows = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9))
    (folder / "config.yaml").write_text(f"a0: &a0 [1]\n{rows}\n")
    _, (note,) = read_inputs([folder, good(tmp_path)])
    assert "stands for more than" in note


def test_names_are_those_of_the_writers():
    assert run_folders.CHECKPOINTS == run_files.FOLDER
    assert samples.FOLDER == sample_grid.FOLDER


@pytest.mark.slow
def test_a_report_needs_no_pytorch():
    code = "import sys, wavelight.commands.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_run_folders_of_tests_are_as_runs_write_them(tmp_path):
    folder = good(tmp_path)
    assert yaml.safe_load((folder / "config.yaml").read_text())["seed_everything"] == 1
