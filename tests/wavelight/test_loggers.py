import csv
import json

import pytest
import yaml

from tests.places import TINY
from tests.wandb_files import records
from wavelight.__main__ import main
from wavelight.loggers import CSVLogger, WandbLogger, _why_offline

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


def test_without_a_key_wandb_is_offline_and_says_so_once(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with caplog.at_level("INFO"):
        logger = WandbLogger(save_dir=str(tmp_path))
    assert logger._offline
    assert sum("W&B writes offline" in record.getMessage() for record in caplog.records) == 1


def test_without_a_network_wandb_is_offline(monkeypatch):
    import socket

    def refuse(*_, **__):
        raise OSError("no route")

    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert "cannot be reached" in _why_offline()


def test_a_mode_that_was_chosen_is_left_alone(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert _why_offline() is None


@pytest.mark.slow
def test_an_offline_run_holds_losses_metrics_pictures_and_configuration(tmp_path, monkeypatch):
    """Read back from the run's own file, as ``wandb sync`` would."""
    from wandb.proto import wandb_internal_pb2

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
    logged, config, run = {}, {}, None
    for data in records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        for item in record.history.item:
            logged.setdefault(item.key or "/".join(item.nested_key), []).append(
                json.loads(item.value_json)
            )
        if record.HasField("run"):
            run = record.run
        for update in [*record.config.update, *record.run.config.update]:
            config[update.key or "/".join(update.nested_key)] = json.loads(update.value_json)

    assert run.display_name == "n"
    assert run.run_group == "g"
    assert list(run.tags) == ["t"]
    assert {
        "train/generator/adversarial",
        "train/discriminator/real",
        "images_per_second",
    } <= logged.keys()
    assert len(logged["val/fwd800"]) == 3
    assert any(key.startswith("samples") for key in logged)
    assert list((path.parent / "files" / "media").rglob("*.png"))
    assert config["data"]["batch_size"] == 8
    assert config["model"]["class_path"] == "wavelight.systems.WaveDiff"
    assert "git_revision" in config
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert saved["data"]["source"]["class_path"] == config["data"]["source"]["class_path"]
