"""The sweeps of W&B that ship: what agents make of them is taken, and trials have folders of their own."""

import csv
from pathlib import Path

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import (
    create_sweep_command,
    create_sweep_command_args,
    load_sweep_config,
)

from tests.places import EXPERIMENTS, TINY
from wavelight.__main__ import main
from wavelight.callbacks.evaluation import short_count

SWEEPS = sorted((EXPERIMENTS / "agent").glob("*.yaml"))
EXTREMES = {"first": ("value", "min", 0), "last": ("value", "max", -1)}
"""Where values of a parameter stand, at both its ends."""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])


@pytest.fixture
def agent(monkeypatch):
    """Do as an agent does before it calls a trial's command."""

    def agent(trial):
        monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
        monkeypatch.setenv("WANDB_RUN_ID", trial)

    return agent


def proposed(sweep, extreme):
    """Return a value for each parameter of a sweep, as W&B's server proposes them."""
    value, bound, place = EXTREMES[extreme]
    for name, parameter in sweep["parameters"].items():
        if "values" in parameter:
            yield name, parameter["values"][place]
        else:
            yield name, parameter[value] if value in parameter else parameter[bound]


def command_of(sweep, values):
    """Return the words that W&B's agent calls for a trial."""
    parts = {
        "env": ["/usr/bin/env"],
        "interpreter": ["python"],
        "program": [sweep["program"]],
        **create_sweep_command_args(
            {"args": {name: {"value": value} for name, value in values.items()}}
        ),
    }
    words = create_sweep_command(sweep["command"])
    return [
        part for word in words for part in (parts[word[2:-1]] if word.startswith("${") else [word])
    ]


def option(config, name):
    for key in name.split("."):
        config = config[key]
    return config


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
@pytest.mark.parametrize("extreme", EXTREMES)
def test_the_command_of_a_trial_has_every_option(path, extreme, agent, capsys):
    sweep = load_sweep_config(str(path))
    values = dict(proposed(sweep, extreme))
    assert len(values) > 1
    *start, method = command_of(sweep, values)[:5]
    assert (start, method) == (["/usr/bin/env", "python", "-m", "wavelight"], "fit")
    agent("x7k2")
    with pytest.raises(SystemExit) as stopped:
        main([*command_of(sweep, values)[4:], "--print_config"])
    assert not stopped.value.code
    config = yaml.safe_load(capsys.readouterr().out)
    assert {name: option(config, name) for name in values} == values
    assert config["trainer"]["default_root_dir"] == f"runs/{path.stem}/x7k2"


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_says_what_it_takes_and_optimizes_what_its_runs_log(path, capsys):
    sweep, text = load_sweep_config(str(path)), path.read_text()
    assert f"wandb sweep experiments/agent/{path.name}" in text
    assert "# Hardware:" in text
    assert "# Expected:" in text
    with pytest.raises(SystemExit):
        main([*command_of(sweep, {})[4:], "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    monitored = config["best"]["monitor"]
    assert sweep["metric"] == {
        "name": f"{monitored}{short_count(config['data']['val_images'])}",
        "goal": {"min": "minimize", "max": "maximize"}[config["best"]["mode"]],
    }


@pytest.mark.slow
def test_trials_do_not_meet_in_a_folder_and_one_that_is_called_again_goes_on(agent):
    words = ["fit", "--config", str(TINY), "--ckpt_path", "last"]
    for trial in ("one", "two"):
        agent(trial)
        main([*words, "--trainer.max_epochs=1"])
    main(words)
    folders = [Path("runs/tiny", trial) for trial in ("one", "two")]
    seen = [[row["images_seen"] for row in rows_of(folder)] for folder in folders]
    assert [len(rows) for rows in seen] == [3, 6]
    assert seen[1][:3] == seen[0]


def rows_of(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_folder_that_a_sweep_names_is_taken_as_it_is(agent, capsys):
    agent("x7k2")
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(TINY), "--trainer.default_root_dir=mine", "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["default_root_dir"] == "mine"


def test_without_an_agent_a_run_id_changes_no_folder(monkeypatch, capsys):
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    monkeypatch.setenv("WANDB_RUN_ID", "x7k2")
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(TINY), "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["default_root_dir"] == "runs/tiny"
