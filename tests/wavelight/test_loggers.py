import csv
import os
import subprocess
import sys
import time
from functools import partial

import pytest
import yaml

from tests.places import ROOT, TINY
from tests.wandb_files import offline_runs
from tests.wandb_servers import answering, refusing, silent
from wavelight.__main__ import main
from wavelight.loggers import CSVLogger, WandbLogger
from wavelight.support.wandb_server import why_offline

MARK = "marked-secret-0123456789"
SECRETS = ["WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "MY_PASSWORD"]


def test_csv_of_another_run_is_continued_not_removed(tmp_path):
    for value in (1.0, 2.0):
        logger = CSVLogger(str(tmp_path))
        logger.log_metrics({"loss": value}, step=1)
        logger.save()
    logger = CSVLogger(str(tmp_path))
    logger.log_metrics({"fid": 3.0}, step=2)
    logger.save()
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["loss"] for row in rows] == ["1.0", "2.0", ""]
    assert [row["fid"] for row in rows] == ["", "", "3.0"]


def test_a_test_adds_columns_while_its_training_writes_on(tmp_path):
    training, test = CSVLogger(str(tmp_path)), CSVLogger(str(tmp_path))
    training.log_metrics({"loss": 1.0, "images_seen": 8}, step=1)
    training.save()
    test.log_metrics({"test/fid50k": 3.0, "images_seen": 8, "checkpoint": "best.ckpt"}, step=1)
    test.save()
    training.log_metrics({"loss": 0.5, "images_seen": 16}, step=2)
    training.save()
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["loss"] for row in rows] == ["1.0", "", "0.5"]
    assert [row["images_seen"] for row in rows] == ["8", "8", "16"]
    assert [row["test/fid50k"] for row in rows] == ["", "3.0", ""]


def test_the_best_values_are_those_of_all_starts(tmp_path, monkeypatch):
    run = FakeRun()
    monkeypatch.setattr("wandb.init", lambda **_: run)
    monkeypatch.setattr("wandb.run", None)
    logger = WandbLogger(save_dir=str(tmp_path), offline=True)
    logger.continue_run("abc", 7, {"val/fid10k": 3.0, "val/recall10k": 0.5})
    assert logger.id == "abc"
    for fid, recall in ((4.0, 0.6), (2.0, 0.4), (5.0, 0.1)):
        logger.log_metrics({"val/fid10k": fid, "val/recall10k": recall, "train/loss": fid})
    assert run.summary == {"best/val/fid10k": 2.0, "best/val/recall10k": 0.6}
    assert logger.best == {"val/fid10k": 2.0, "val/recall10k": 0.6}


def test_without_a_key_wandb_is_offline_and_says_so_once(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setattr("wandb.init", lambda **_: FakeRun())
    monkeypatch.setattr("wandb.run", None)
    logger = WandbLogger(save_dir=str(tmp_path))
    assert logger._offline
    with caplog.at_level("INFO"):
        logger.log_metrics({"loss": 1.0})
        logger.log_metrics({"loss": 2.0})
    assert sum("W&B writes offline" in record.getMessage() for record in caplog.records) == 1


def test_without_a_network_wandb_is_offline(monkeypatch):
    import socket

    def refuse(*_, **__):
        raise OSError("no route")

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert "cannot be reached" in why_offline()


class FakeRun:
    """A run of W&B that keeps what is logged."""

    def __init__(self):
        self.logged = []
        self.summary = {}

    def define_metric(self, *args, **options):
        pass

    def log(self, values, **options):
        self.logged.append(values)


def test_a_server_that_starts_no_run_is_left_offline_and_said_once(tmp_path, monkeypatch, caplog):
    import wandb

    modes, run = [], FakeRun()

    def init(mode=None, **options):
        modes.append(mode)
        if mode != "offline":
            raise wandb.errors.CommError("Timed out\nafter a while")
        return run

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr("wavelight.loggers.why_offline", lambda: None)
    monkeypatch.setattr("wandb.init", init)
    monkeypatch.setattr("wandb.run", None)
    logger = WandbLogger(save_dir=str(tmp_path))
    with caplog.at_level("INFO"):
        logger.log_metrics({"loss": 1.0}, step=1)
        logger.log_metrics({"loss": 2.0}, step=2)
    assert modes == ["online", "offline"]
    assert [values["loss"] for values in run.logged] == [1.0, 2.0]
    said = [
        each.getMessage() for each in caplog.records if "W&B writes offline" in each.getMessage()
    ]
    assert len(said) == 1
    assert "Timed out after a while" in said[0]
    assert "wandb sync" in said[0]


def test_a_fault_in_code_that_starts_a_run_is_seen(tmp_path, monkeypatch):
    def init(**options):
        raise TypeError("a slip")

    monkeypatch.setattr("wavelight.loggers.why_offline", lambda: None)
    monkeypatch.setattr("wandb.init", init)
    monkeypatch.setattr("wandb.run", None)
    with pytest.raises(TypeError, match="a slip"):
        WandbLogger(save_dir=str(tmp_path)).log_metrics({"loss": 1.0}, step=1)


def test_a_mode_that_was_chosen_is_left_alone(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert why_offline() is None


@pytest.mark.slow
def test_an_offline_run_holds_losses_metrics_pictures_and_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in SECRETS:
        monkeypatch.setenv(name, f"{MARK}-of-{name}")
    (tmp_path / "more.yaml").write_text(
        "trainer:\n"
        "  default_root_dir: run\n"
        "  logger+: [{class_path: wavelight.loggers.WandbLogger, init_args: {name: n, group: g, tags: [t]}}]\n"
        "pictures:\n"
        "  images: 1\n"
        "evaluation:\n"
        "  reference_images: 800\n"
    )
    main(["fit", "--config", str(TINY), "--config", "more.yaml", "--data.val_images", "800"])
    import wandb

    wandb.finish()
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if MARK.encode() in path.read_bytes()]

    (path,) = (tmp_path / "run").glob("wandb/offline-run-*/run-*.wandb")
    (found,) = offline_runs(tmp_path / "run")
    run, config = found.run, found.config

    assert run.display_name == "n"
    assert run.run_group == "g"
    assert list(run.tags) == ["t"]
    assert {
        "train/generator/adversarial",
        "train/discriminator/real",
        "images_per_second",
    } <= found.names
    assert len(found.column("val/fwd800")) == 3
    assert any(key.startswith("samples") for key in found.names)
    assert list((path.parent / "files" / "media").rglob("*.png"))
    assert config["data"]["batch_size"] == 8
    assert config["model"]["class_path"] == "wavelight.systems.WaveDiff"
    assert "git_revision" in config
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert saved["data"]["source"]["class_path"] == config["data"]["source"]["class_path"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [None, "online"])
@pytest.mark.parametrize("server", ["silent", "refusing", "500", "401", "hangs in its answer"])
def test_training_starts_and_writes_offline_where_the_server_is_down(tmp_path, server, mode):
    servers = {
        "silent": silent,
        "refusing": refusing,
        "500": partial(answering, 500),
        "401": partial(answering, 401),
        "hangs in its answer": partial(answering, 200, 1000.0),
    }
    (tmp_path / "more.yaml").write_text(
        "trainer:\n  default_root_dir: run\n  logger+: [{class_path: wavelight.loggers.WandbLogger}]\n"
    )
    with servers[server]() as url:
        environment = os.environ | {
            "WANDB_API_KEY": "0" * 40,
            "WANDB_BASE_URL": url,
            "PYTHONPATH": str(ROOT),
        }
        environment.pop("WANDB_MODE", None)
        words = ["-m", "wavelight", "fit", "--config", str(TINY), "--config", "more.yaml"]
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environment | ({"WANDB_MODE": mode} if mode else {}),
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("W&B writes offline") == 1
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert time.monotonic() - begun < 90
