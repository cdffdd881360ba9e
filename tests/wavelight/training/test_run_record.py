import json
from pathlib import Path

import pytest

from wavelight.training.run_record import RunRecord, command_line, names_of_run


@pytest.mark.parametrize(
    ("folder", "name", "variant"),
    [
        ("runs/church", "church", "church"),
        ("church", "church", "church"),
        ("/data/runs/church", "church", "church"),
        ("runs/sweeps/small/sgm/seed-2", "sgm/seed-2", "sgm"),
        ("runs/sgm/3", "sgm/3", "sgm"),
        ("runs/cifar10", "cifar10", "cifar10"),
    ],
)
def test_runs_are_named_by_their_folder(folder, name, variant):
    assert names_of_run(Path(folder)) == (name, variant)


def test_an_id_is_kept_from_the_first_start(tmp_path):
    first = RunRecord(tmp_path)
    first.write({"system": "SGM"})
    again = RunRecord(tmp_path)
    assert again.facts == {"id": first.facts["id"], "system": "SGM"}
    again.write({"device_hours": 1.5})
    assert json.loads((tmp_path / "run.json").read_text())["id"] == first.facts["id"]


def test_an_agent_of_wandb_gives_the_id(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_RUN_ID", "trial17")
    assert RunRecord(tmp_path).facts == {"id": "trial17"}


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"id": 3}', "\x00\xff"])
def test_a_damaged_file_begins_anew(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    record = RunRecord(tmp_path)
    assert list(record.facts) == ["id"]
    record.write({"system": "SGM"})
    assert RunRecord(tmp_path).facts == record.facts


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["/x/wavelight/__main__.py", "fit", "--a", "b c"], "python -m wavelight fit --a 'b c'"),
        (["/bin/wavelight", "fit"], "python -m wavelight fit"),
        (["train.py", "--lr", "1"], "python train.py --lr 1"),
    ],
)
def test_the_command_can_be_typed_again(monkeypatch, words, command):
    monkeypatch.setattr("sys.argv", words)
    assert command_line() == command
