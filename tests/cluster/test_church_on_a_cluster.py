"""The file of docs/clusters.md is a whole experiment, and parts/cluster.yaml gives it a timeout."""

import re
import shutil
from datetime import timedelta

import torch
import yaml

from tests.places import EXPERIMENTS, ROOT
from wavelight.support.private_names import timeout_of
from wavelight.training.cli import CLI

PAGE = (ROOT / "docs" / "clusters.md").read_text()


def test_the_file_of_the_page_builds_on_church(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])
    shutil.copytree(EXPERIMENTS, tmp_path / "experiments")
    text = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1]
    name = text.splitlines()[0].removeprefix("# ")
    (tmp_path / name).write_text(text)
    # The GPUs are none here, and what reads from s3:// is no dependency.
    local = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.num_nodes", "4"]
    local += ["--data.source.urls", "train-{0000..0255}.tar", "--data.source.cache", "null"]
    local += [
        "--trainer.logger",
        "false",
        "--evaluation.metrics",
        "[]",
        "--best.monitor",
        "val/fwd",
    ]
    with torch.device("meta"):
        cli = CLI("fit", ["--config", name, *local])
    assert timeout_of(cli.trainer.strategy) == timedelta(minutes=5)
    assert cli.trainer.num_nodes * cli.trainer.num_devices == 8
    assert len(cli.datamodule.source.shards()) == 256
    assert cli.config.data.batch_size == 64
    assert cli.config.trainer.default_root_dir == "runs/church_cluster"


def test_the_shipped_timeout_is_quoted():
    """YAML 1.1 reads 1:05:00 as a number in base 60."""
    text = (EXPERIMENTS / "parts" / "cluster.yaml").read_text()
    assert yaml.safe_load(text)["trainer"]["strategy"]["init_args"]["timeout"] == "0:05:00"
    assert yaml.safe_load("timeout: 1:05:00") == {"timeout": 3900}
