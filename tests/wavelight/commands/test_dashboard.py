"""The dashboard at W&B: which runs it compares, in which table and plots, and that only saving needs a server."""

import builtins
import json
import re
import socket

import pytest
import wandb

from tests.wandb_servers import answering, taking_views
from wavelight.__main__ import main

LINES, POINTS, MEDIA = "Run History Line Plot", "Scatter Plot", "Media Browser"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def spec(capsys, *words):
    main(["dashboard", "team", "--dry_run", *words])
    return json.loads(capsys.readouterr().out)["section"]


def panels(found, section):
    sections = {each["name"]: each for each in found["panelBankConfig"]["sections"]}
    return [(each["viewType"], each["config"]) for each in sections[section]["panels"]]


def refused(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main(["dashboard", "team", *words])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    return said[0]


def test_runs_of_a_data_set_are_compared_in_groups_of_systems_by_their_tests(capsys):
    (runs,) = spec(capsys, "--dataset", "church")["runSets"]
    filters = {
        each["key"]["name"]: (each["op"], each["value"]) for each in runs["filters"]["filters"]
    }
    assert filters == {"jobType": ("=", "train"), "dataset.value": ("=", "church")}
    assert {each.get("connector", "AND") for each in runs["filters"]["filters"]} == {"AND"}
    assert [(each["section"], each["name"]) for each in runs["grouping"]] == [
        ("config", "system.value"),
        ("run", "group"),
    ]
    assert [(each["key"]["name"], each["ascending"]) for each in runs["sort"]["keys"]] == [
        ("test/fid50k.last", True),
        ("best/val/fid10k", True),
    ]


def test_runs_of_all_data_sets_are_compared_where_none_is_named(capsys):
    (runs,) = spec(capsys)["runSets"]
    assert [each["key"]["name"] for each in runs["filters"]["filters"]] == ["jobType"]


def test_columns_are_what_papers_print_and_what_it_took(capsys):
    (runs,) = spec(capsys)["runSets"]
    feed = runs["runFeed"]
    columns = [
        "run:displayName",
        "config:system.value",
        "config:dataset.value",
        "config:seed.value",
        "config:cost/nfe.value",
        "config:cost/gmacs.value",
        "config:cost/parameters.value",
        "config:published/fid.value",
        "config:published/recall.value",
        "summary:test/fid50k.last",
        "summary:test/recall50k.last",
        "summary:best/val/fid10k",
        "summary:device_hours",
    ]
    assert feed["columnOrder"] == columns
    assert feed["columnPinned"] == feed["columnVisible"] == dict.fromkeys(columns, True)


def test_quality_is_plotted_against_images_and_device_hours(capsys):
    found = spec(capsys)
    shown = panels(found, "quality while learning")
    assert {kind for kind, _ in shown} == {LINES}
    assert [(each["metrics"], each["xAxis"]) for _, each in shown] == [
        (["val/fid10k"], "images_seen"),
        (["val/fid10k"], "device_hours"),
        (["val/recall10k"], "images_seen"),
        (["val/recall10k"], "device_hours"),
    ]
    limits = [(each.get("yAxisMin"), each.get("yAxisMax")) for _, each in shown]
    assert limits == 2 * [(None, None)] + 2 * [(0, 1)]
    assert found["settings"]["xAxis"] == "images_seen"
    # Five systems with three seeds, and more.
    assert found["settings"]["maxRuns"] > 15


def test_published_quality_is_plotted_beside_measured_against_cost(capsys):
    shown = panels(spec(capsys), "quality against cost")
    assert {kind for kind, _ in shown} == {POINTS}
    assert [(each["xAxis"], each["yAxis"]) for _, each in shown] == [
        ("config:cost/nfe.value", "summary:test/fid50k.last"),
        ("config:cost/nfe.value", "config:published/fid.value"),
        ("config:cost/gmacs.value", "summary:test/fid50k.last"),
        ("config:cost/gmacs.value", "config:published/fid.value"),
    ]
    assert all(each["xAxisLogScale"] for _, each in shown)


def test_samples_stand_side_by_side(capsys):
    ((kind, grids),) = panels(spec(capsys), "samples")
    assert kind == MEDIA
    assert grids["mediaKeys"] == ["samples"]
    assert grids["gridSettings"] == {"xAxis": "run", "yAxis": "step"}


def test_losses_of_any_network_are_plotted(capsys):
    ((kind, losses),) = panels(spec(capsys), "losses")
    assert (kind, losses["xAxis"], losses["useMetricRegex"]) == (LINES, "images_seen", True)
    assert re.search(losses["metricRegex"], "train/generator")
    assert not re.search(losses["metricRegex"], "val/fid10k")


def test_small_experiments_are_compared_by_their_own_metric_and_counts(capsys):
    options = ["--metric", "fwd", "--val_images", "1024", "--test_images=4000"]
    found = spec(capsys, *options)
    shown = panels(found, "quality while learning")
    (name,) = {name for _, each in shown for name in each["metrics"]}
    (runs,) = found["runSets"]
    assert name.startswith("val/fwd1")
    assert [each["key"]["name"] for each in runs["sort"]["keys"]] == [
        "test/fwd4k.last",
        f"best/{name}",
    ]
    assert "recall4k" not in str(found)


def test_a_dry_run_needs_no_login_and_no_network_and_writes_nothing(tmp_path, capsys, no_network):
    spec(capsys)
    assert not list(tmp_path.iterdir())


def test_without_a_key_it_says_so_before_any_network(tmp_path, capsys, no_network):
    said = refused(capsys)
    assert "no API key" in said
    assert "--dry_run" in said
    assert not list(tmp_path.iterdir())


def test_a_mode_of_runs_is_no_key(capsys, monkeypatch, no_network):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert "no API key" in refused(capsys)


@pytest.fixture
def server(monkeypatch):
    """Ask another server, with a key; W&B keeps the first that a process has asked."""

    def ask(url):
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
        monkeypatch.setenv("WANDB_BASE_URL", url)
        wandb.teardown()

    yield ask
    monkeypatch.undo()
    wandb.teardown()


def test_a_server_that_is_down_is_told_in_one_sentence(capsys, server):
    with answering(503) as url:
        server(url)
        assert "127.0.0.1 answers 503" in refused(capsys)


def test_what_was_printed_is_saved_in_the_project(capsys, server):
    with taking_views() as (url, views):
        server(url)
        main(["dashboard", "team", "--project", "mine", "--dataset", "church"])
        assert capsys.readouterr().out == f"{url}/team/mine?nw=abc\n"
    (view,) = views
    assert (view["entityName"], view["projectName"]) == ("team", "mine")
    assert view["displayName"] == "Baselines on church"
    assert without_ids(json.loads(view["spec"])["section"]) == without_ids(
        spec(capsys, "--dataset", "church")
    )


def without_ids(found):
    """Leave out the numbers that panels get by chance."""
    if isinstance(found, dict):
        return {key: without_ids(part) for key, part in found.items() if key != "__id__"}
    return [without_ids(part) for part in found] if isinstance(found, list) else found


def test_a_refusal_of_the_server_is_told_in_one_sentence(capsys, server):
    with taking_views(refusal="permission denied") as (url, _):
        server(url)
        said = refused(capsys, "--project", "theirs")
    assert "team/theirs" in said
    assert "permission denied" in said


def test_a_number_of_images_must_be_possible(capsys):
    assert "val_images must be at least 1, got 0" in refused(capsys, "--val_images", "0")


def test_a_missing_package_is_named_with_its_extra(capsys, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments):
        if name.startswith("wandb_workspaces"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'wavelight[dashboard]'" in refused(capsys, "--dry_run")
