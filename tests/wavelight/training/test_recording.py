"""One training is one run, which opens once it may begin."""

import csv
import json

import lightning as L
import pytest
from lightning.pytorch.callbacks import DeviceStatsMonitor
from lightning.pytorch.loggers.logger import DummyLogger

from tests.places import TINY
from tests.runs import fit
from tests.tiny import tiny_data, tiny_system, tiny_trainer
from tests.wandb_files import offline_runs
from wavelight.__main__ import main
from wavelight.callbacks import Throughput
from wavelight.callbacks.throughput import DEVICE_HOURS_KEY
from wavelight.loggers import CSVLogger, WandbLogger
from wavelight.support.errors import OptionError
from wavelight.weights import read_checkpoint


class Recorded(DummyLogger):
    """Keeps what is logged, and when it was opened."""

    def __init__(self):
        super().__init__()
        self.rows = []
        self.opened = 0

    @property
    def experiment(self):
        self.opened += 1
        return super().experiment

    def log_metrics(self, metrics, step=None):
        self.rows.append((step, dict(metrics)))


class Refusing(L.Callback):
    def on_fit_start(self, trainer, pl_module):
        raise OptionError("no")


def test_a_refused_training_opens_no_logger_and_leaves_nothing(tmp_path):
    logger, folder = Recorded(), tmp_path / "run"
    with pytest.raises(OptionError):
        fit(folder, Refusing(), logger=[logger, CSVLogger(str(folder))])
    assert logger.opened == 0
    assert not folder.exists()


def test_loggers_are_those_of_the_trainer_again_behind_a_refusal(tmp_path):
    logger = Recorded()
    trainer = tiny_trainer(tmp_path, Refusing(), logger=logger)
    with pytest.raises(OptionError):
        trainer.fit(tiny_system(), datamodule=tiny_data())
    assert trainer.loggers == [logger]


def test_callbacks_find_the_loggers_names_and_folders_while_these_are_closed(tmp_path):
    logger = CSVLogger(str(tmp_path))
    found = []

    class Look(L.Callback):
        def setup(self, trainer, pl_module, stage):
            found.append((len(trainer.loggers), trainer.logger.save_dir, trainer.logger.log_dir))

    fit(tmp_path, Look(), DeviceStatsMonitor(cpu_stats=False), logger=logger, max_epochs=1)
    assert found == [(1, str(tmp_path), logger.log_dir)]


def test_a_run_that_still_trains_is_left_alone_by_a_test_of_it(tmp_path, monkeypatch):
    fit(tmp_path, max_epochs=1)
    before = (tmp_path / "run.json").read_text()
    monkeypatch.setattr("wavelight.training.recording.is_held_elsewhere", lambda folder: True)
    logger = WandbLogger(save_dir=str(tmp_path), offline=True)
    rows = Recorded()
    trainer = tiny_trainer(tmp_path, logger=[logger, rows])
    trainer.test(tiny_system(), datamodule=tiny_data(test_images=4), ckpt_path="last")
    assert not (tmp_path / "wandb").exists()
    assert (tmp_path / "run.json").read_text() == before
    assert trainer.loggers == [logger, rows]


def test_an_id_of_the_users_own_is_the_runs(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("wandb.init", lambda **options: given.update(options) or FakeRun())
    monkeypatch.setattr("wandb.run", None)
    monkeypatch.setenv("WANDB_MODE", "offline")
    fit(tmp_path, logger=WandbLogger(save_dir=str(tmp_path), id="mine"), max_epochs=1)
    assert given["id"] == "mine"
    assert json.loads((tmp_path / "run.json").read_text())["id"] == "mine"


def test_hyperparameters_of_a_system_open_the_run_by_its_id(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("wandb.init", lambda **options: given.update(options) or FakeRun())
    monkeypatch.setattr("wandb.run", None)
    monkeypatch.setenv("WANDB_MODE", "offline")
    system = tiny_system()
    system.save_hyperparameters({"width": 16})
    fit(tmp_path, logger=WandbLogger(save_dir=str(tmp_path)), system=system, max_epochs=1)
    facts = json.loads((tmp_path / "run.json").read_text())
    assert (given["id"], given["name"]) == (facts["id"], facts["name"])


class FakeRun:
    step = 0

    def __init__(self):
        self.config = FakeConfig()
        self.summary = {}

    def define_metric(self, *words, **options):
        pass

    def log(self, values, **options):
        pass


class FakeConfig(dict):
    def update(self, values, **options):
        super().update(values)


def test_every_row_says_how_many_images_were_seen(tmp_path):
    logger = Recorded()
    fit(tmp_path, Throughput(), logger=logger, max_epochs=1, log_every_n_steps=2)
    assert [row["images_seen"] for _, row in logger.rows] == [16, 32]
    assert all(isinstance(row["images_seen"], int) for _, row in logger.rows)
    first, second = (row["device_hours"] for _, row in logger.rows)
    assert 0 < first < second


def test_a_test_is_logged_where_its_checkpoint_stands(tmp_path):
    fit(tmp_path, max_epochs=2)
    logger, csv_logger = Recorded(), CSVLogger(str(tmp_path))
    trainer = tiny_trainer(tmp_path, Measuring(), logger=[logger, csv_logger])
    trainer.test(tiny_system(), datamodule=tiny_data(test_images=4), ckpt_path="last")
    assert logger.rows == [(8, {"test/one": 1.0, "images_seen": 64})]
    (row,) = csv.DictReader((tmp_path / "metrics.csv").open())
    assert (row["step"], row["images_seen"], row["checkpoint"]) == ("8", "64", "last.ckpt")


class Measuring(L.Callback):
    def on_test_epoch_end(self, trainer, pl_module):
        pl_module.log("test/one", 1.0)


def test_what_another_command_measures_leaves_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr("wavelight.training.recording.cost", pytest.fail)
    trainer = tiny_trainer(tmp_path / "run")
    trainer.validate(tiny_system(), datamodule=tiny_data())
    assert not (tmp_path / "run").exists()


def test_sampling_opens_no_run(tmp_path):
    fit(tmp_path / "run", max_epochs=1)
    logger = Recorded()
    trainer = tiny_trainer(tmp_path / "run", logger=logger)
    trainer.predict(tiny_system(), ckpt_path="last", images=2, out=tmp_path / "images")
    assert logger.opened == 0
    assert logger.rows == []


def test_the_record_says_what_is_trained_and_what_it_costs(tmp_path):
    folder = tmp_path / "wavediff" / "seed-3"
    fit(folder, Throughput(), max_epochs=1)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["name"] == "wavediff/seed-3"
    assert facts["group"] == "wavediff on scenes"
    assert (facts["system"], facts["dataset"], facts["seed"]) == ("WaveDiff", "scenes", 3)
    assert facts["cost"]["nfe"] == 2
    networks = tiny_system().sampling_networks().values()
    assert facts["cost"]["parameters"] == sum(
        p.numel() for each in networks for p in each.parameters()
    )
    checkpoint = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert 0 < checkpoint[DEVICE_HOURS_KEY] <= facts["device_hours"] < 0.1


def test_a_run_that_goes_on_keeps_its_id_and_its_hours(tmp_path):
    fit(tmp_path, Throughput(), max_epochs=1)
    before = json.loads((tmp_path / "run.json").read_text())
    fit(tmp_path, Throughput(), max_epochs=2, ckpt_path="last")
    after = json.loads((tmp_path / "run.json").read_text())
    assert after["id"] == before["id"]
    assert after["device_hours"] > before["device_hours"]


def test_a_test_of_an_early_checkpoint_takes_no_hours_back(tmp_path):
    fit(tmp_path, Throughput(), max_epochs=1)
    early = (tmp_path / "checkpoints" / "last.ckpt").rename(tmp_path / "early.ckpt")
    fit(tmp_path, Throughput(), max_epochs=2, ckpt_path=str(early))
    hours = json.loads((tmp_path / "run.json").read_text())["device_hours"]
    trainer = tiny_trainer(tmp_path, Throughput())
    trainer.test(tiny_system(), datamodule=tiny_data(test_images=4), ckpt_path=str(early))
    assert json.loads((tmp_path / "run.json").read_text())["device_hours"] == hours


def test_a_network_that_cannot_be_counted_is_told_and_trained(tmp_path, monkeypatch):
    def fail(system):
        raise RuntimeError("no meta device")

    monkeypatch.setattr("wavelight.training.recording.cost", fail)
    with pytest.warns(UserWarning, match=r"cannot be counted \(RuntimeError: no meta device\)"):
        fit(tmp_path, max_epochs=1)
    assert json.loads((tmp_path / "run.json").read_text())["cost"] == {}


def test_tensorboard_has_the_configuration_and_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])
    options = ["--trainer.max_epochs", "1", "--pictures.images", "1"]
    main(
        [
            "fit",
            "--config",
            str(TINY),
            "--trainer.logger+=wavelight.loggers.TensorBoardLogger",
            *options,
        ]
    )
    (path,) = (tmp_path / "runs" / "tiny" / "tensorboard").glob("events.out.*")
    content = path.read_bytes()
    assert b"batch_size: 8" in content
    assert content.count(b"\x89PNG") == 2
    assert b"train/generator/adversarial" in content


@pytest.mark.slow
def test_starts_and_tests_of_a_folder_are_one_run_of_wandb(tmp_path, monkeypatch):
    import wandb

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "more.yaml").write_text(
        "trainer: {default_root_dir: sgm/seed-3, logger+: [{class_path: wavelight.loggers.WandbLogger}]}\n"
        "published: {fid: 4.01, recall: 0.55, source: a paper}\n"
        "data: {name: cifar10, val_images: 100, test_images: 100, held_out: 100, source.init_args.images: 300}\n"
    )
    options = ["--config", str(TINY), "--config", "more.yaml"]
    for words in (
        ["fit", *options, "--trainer.max_epochs", "1"],
        ["fit", *options, "--ckpt_path", "last"],
        ["test", *options],
        ["validate", *options],
    ):
        main(words)
        wandb.finish()
    runs = offline_runs(tmp_path / "sgm" / "seed-3")
    facts = json.loads((tmp_path / "sgm" / "seed-3" / "run.json").read_text())
    assert {each.run.run_id for each in runs} == {facts["id"]}
    assert len(runs) == 4
    for each in runs:
        assert each.run.display_name == "sgm/seed-3"
        assert each.run.run_group == "sgm on cifar10"
        assert each.run.job_type == "train"
        assert list(each.run.tags) == ["WaveDiff", "cifar10"]
        assert each.config["system"] == "WaveDiff"
        assert each.config["dataset"] == "cifar10"
        assert each.config["published/fid"] == 4.01
        assert each.config["published/source"] == "a paper"
        assert each.config["cost/nfe"] == 2
    # One step a row, over all processes, and no row without its place.
    steps = [step for each in runs for step in each.column("_step")]
    assert steps == list(range(len(steps)))
    assert [each.column("images_seen")[-1] for each in runs] == [24, 48, 48, 48]
    assert all("images_seen" in row for each in runs for row in each.rows)
    tested = runs[2].rows[-1]
    assert tested["checkpoint"] == "last.ckpt"
    assert "test/fwd100" in tested
    metric = runs[0].metrics["val/fwd100"]
    assert metric.step_metric == "images_seen"
    assert metric.summary.min
    assert metric.summary.last
    best = min(value for each in runs for value in each.column("val/fwd100"))
    assert runs[-1].summary["best/val/fwd100"] == best
    assert "val/fwd100_held_out" in runs[0].summary
    assert "val/fwd100_held_out" not in runs[0].names
    assert "lr/generator" in runs[0].names
    # Evaluations too, which are plotted against it.
    assert all("device_hours" in row for each in runs for row in each.rows)
