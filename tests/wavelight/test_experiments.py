"""Every experiment in the folder parses, trains a batch at its own size, and says what it needs first."""

from pathlib import Path

import pytest
import torch
import yaml

from wavelight.__main__ import main

EXPERIMENTS = sorted((Path(__file__).resolve().parents[2] / "experiments").glob("*.yaml"))

pytestmark = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "disabled")


def test_first_comment_tells_command_hardware_and_expectation(path):
    comment = "".join(
        line for line in path.read_text().splitlines(keepends=True) if line.startswith("#")
    )
    assert f"python -m wavelight fit --config experiments/{path.name}" in comment
    for word in ("Hardware", "Expected"):
        assert word in comment


def test_configuration_is_ordered_and_visible(path):
    config = yaml.safe_load(path.read_text())
    assert list(config) == ["seed_everything", "trainer", "model", "data"]
    assert config["trainer"]["default_root_dir"] == f"runs/{path.stem}"


def test_schedule_ends_with_the_run(path):
    config = yaml.safe_load(path.read_text())
    length = config["model"]["init_args"]["scheduler"]["init_args"]["T_max"]
    assert config["trainer"]["max_epochs"] - length in (0, 1)


def test_training_starts_without_the_real_data(path, tmp_path):
    """One batch through the whole configuration, with scenes for its images, and its evaluation left out."""
    config = yaml.safe_load(path.read_text())
    size = config["data"]["image_size"]
    if size > 64:
        pytest.skip(
            "a batch at full size takes long: see test_large_experiments_train_at_full_size"
        )
    _one_batch(path, batch=4)


@pytest.mark.slow
def test_large_experiments_train_at_full_size(path):
    if yaml.safe_load(path.read_text())["data"]["image_size"] <= 64:
        pytest.skip("not large")
    _one_batch(path, batch=1)


def _one_batch(path, batch):
    here = ["--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.fast_dev_run", "1"]
    data = ["--data.source", "data_modules.Scenes", "--data.num_workers", "0"]
    short = ["--data.batch_size", str(batch), "--trainer.callbacks", "[]", "--data.val_images", "0"]
    main(["fit", "--config", str(path), *here, *data, *short])
    assert torch.is_grad_enabled()
