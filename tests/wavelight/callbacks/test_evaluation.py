import csv
import re

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from tests.wavelight.metrics.toy import ToyFeatures, blotches
from wavelight.callbacks.evaluation import Evaluation
from wavelight.metrics import (
    FeatureMetrics,
    FieldDistance,
    FrechetWaveletDistance,
    InceptionMetrics,
)

TRAIN, HELD_OUT = 80, 70


def rows(images, rank=0, world=1, batch_size=16):
    data = [{"image": image / 127.5 - 1} for image in images[rank::world].float()]
    return DataLoader(data, batch_size=batch_size)


class ToyData(L.LightningDataModule):
    """What Evaluation asks of a WaveletDataModule."""

    value_range = (-1.0, 1.0)
    test_images = 100

    def __init__(self, folder, held_out=HELD_OUT, val_images=60):
        super().__init__()
        self.cache_dir = folder / "cache"
        self.fingerprint = "toy"
        self.held_out_images = held_out
        self.val_images = val_images
        self.passes = 0

    def share(self):
        return {"rank": self.trainer.global_rank, "world": self.trainer.world_size}

    def train_dataloader(self):
        return rows(blotches(32, seed=1), batch_size=16)

    def val_dataloader(self):
        return self.numbers(self.val_images)

    def test_dataloader(self):
        return self.numbers(self.test_images)

    def numbers(self, count):
        numbers = range(self.trainer.global_rank, count, self.trainer.world_size)
        return DataLoader([{"index": torch.tensor(number)} for number in numbers], batch_size=7)

    def reference_dataloader(self, images=None):
        self.passes += 1
        # Samples from the global generator, as a DataLoader does: the run must not notice.
        torch.rand(3)
        return rows(blotches(TRAIN, seed=1)[:images], **self.share())

    def held_out_dataloader(self, images=None):
        return rows(blotches(self.held_out_images, seed=2)[:images], **self.share())


class Painter(L.LightningModule):
    """Samples blotches, noisier the less it has been trained; image number i is always the same."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.dropout = torch.nn.Dropout()
        self.frozen = torch.nn.Dropout().eval()
        self.register_buffer("steps", torch.zeros(()))
        self.drawn_with = set()
        self.random = []

    @property
    def images_seen(self):
        return int(self.steps) * 16

    def configure_optimizers(self):
        return torch.optim.SGD([self.weight], lr=0.1)

    def training_step(self, batch, batch_idx):
        assert self.dropout.training
        assert not self.frozen.training
        self.random.append(float(torch.rand(())))
        self.manual_backward(self.weight.square())
        self.optimizers().step()
        self.steps += 1

    def validation_step(self, batch, batch_idx):
        self.drawn_with |= {self.dropout.training, torch.is_grad_enabled()}
        noise = 60 - 10 * int(self.steps)
        images = [torch.empty(0, 3, 8, 8)]
        images += [
            blotches(1, seed=100 + number, noise=noise) for number in batch["index"].tolist()
        ]
        return {"image": torch.cat(images).float() / 127.5 - 1, "index": batch["index"]}

    test_step = validation_step


def toy_metrics():
    return [FrechetWaveletDistance(4), FeatureMetrics(ToyFeatures(), "toy_distance")]


def trainer(folder, *callbacks, **options):
    settings = {
        "default_root_dir": folder,
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 2,
        "num_sanity_val_steps": 0,
        "logger": CSVLogger(folder, version="run"),
        "callbacks": list(callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(
            isinstance(callback, ModelCheckpoint) for callback in callbacks
        ),
        "log_every_n_steps": 1,
        # The data module shares images out itself.
        "use_distributed_sampler": False,
    }
    return L.Trainer(**settings | options)


def logged(folder):
    """Return the CSV logger's columns, without empty cells."""
    with (folder / "lightning_logs" / "run" / "metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in table if row[name]] for name in table[0]}


def by_hand(generated, real=None):
    values = {}
    for metric in toy_metrics():
        metric.prepare()
        metric.update(blotches(TRAIN, seed=1) if real is None else real, real=True)
        metric.update(generated, real=False)
        values |= {name: float(value) for name, value in metric.values().items()}
    return values


def paintings(count, noise):
    return torch.cat([blotches(1, seed=100 + number, noise=noise) for number in range(count)])


def test_logs_what_the_metrics_say_of_the_drawn_images(tmp_path):
    evaluation, model = Evaluation(toy_metrics()), Painter()
    run = trainer(tmp_path, evaluation)
    run.fit(model, datamodule=ToyData(tmp_path))
    expected = {
        0: by_hand(paintings(60, 60)),
        32: by_hand(paintings(60, 40)),
        64: by_hand(paintings(60, 20)),
    }
    assert [seen for seen, _ in evaluation.history] == list(expected)
    columns = logged(tmp_path)
    for (_, values), wanted in zip(evaluation.history, expected.values(), strict=True):
        assert values == pytest.approx(
            {f"val/{name}60": value for name, value in wanted.items()}, rel=1e-5
        )
    for name in expected[0]:
        assert columns[f"val/{name}60"] == pytest.approx(
            [v[name] for v in expected.values()], rel=1e-5
        )
        assert f"val/{name}" not in columns
        assert float(run.callback_metrics[f"val/{name}"]) == pytest.approx(
            expected[64][name], rel=1e-5
        )
    assert run.callback_metrics["val/fwd"].dtype == torch.float32
    assert evaluation.history[0][1]["val/fwd60"] > evaluation.history[2][1]["val/fwd60"]
    assert model.drawn_with == {False}


def test_held_out_images_say_what_a_perfect_model_would_reach(tmp_path):
    evaluation = Evaluation(toy_metrics(), at_start=False)
    trainer(tmp_path, evaluation).fit(Painter(), datamodule=ToyData(tmp_path))
    expected = by_hand(blotches(HELD_OUT, seed=2)[:60])
    assert evaluation.held_out == pytest.approx(expected, rel=1e-6)
    assert logged(tmp_path)["val/fwd60_held_out"] == [pytest.approx(expected["fwd"])]
    assert len(evaluation.history) == 2


def test_metrics_of_one_name_are_refused_before_training(tmp_path):
    metrics = [FeatureMetrics(ToyFeatures(), name) for name in ("one", "other")]
    with pytest.raises(ValueError, match=r"names of its own, got coverage of FeatureMetrics"):
        trainer(tmp_path, Evaluation(metrics)).fit(Painter(), datamodule=ToyData(tmp_path))


def test_without_held_out_images_there_is_no_such_number(tmp_path):
    evaluation = Evaluation(toy_metrics())
    trainer(tmp_path, evaluation).fit(Painter(), datamodule=ToyData(tmp_path, held_out=0))
    assert evaluation.held_out == {}
    assert not any("held_out" in name for name in logged(tmp_path))


def test_real_images_are_measured_once_and_for_ever(tmp_path):
    passes = []
    for _ in range(2):
        evaluation, data = Evaluation(toy_metrics()), ToyData(tmp_path)
        run = trainer(tmp_path, evaluation, max_epochs=1)
        run.fit(Painter(), datamodule=data)
        run.test(Painter(), datamodule=data)
        passes.append(data.passes)
    assert passes == [1, 0]
    expected = by_hand(paintings(100, 60))
    assert evaluation.history[-1][1] == pytest.approx(
        {f"test/{name}100": value for name, value in expected.items()}, rel=1e-5
    )
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("size", [0, 100, 0.5])
def test_damaged_statistics_of_real_images_are_measured_again(tmp_path, caplog, size):
    data, metrics = ToyData(tmp_path), [FrechetWaveletDistance(4)]
    trainer(tmp_path, Evaluation(metrics), max_epochs=0).fit(Painter(), datamodule=data)
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: size if isinstance(size, int) else int(size * len(whole))])
    trainer(tmp_path, Evaluation(metrics), max_epochs=0).fit(Painter(), datamodule=data)
    assert data.passes == 2
    assert f"the statistics in {path} cannot be used" in caplog.text
    assert path.read_bytes() == whole


@pytest.mark.parametrize("change", ["data", "count", "metric"])
def test_other_real_images_or_another_metric_are_measured_anew(tmp_path, change):
    data = ToyData(tmp_path)
    metrics = [FrechetWaveletDistance(4)]
    trainer(tmp_path, Evaluation(metrics), max_epochs=0).fit(Painter(), datamodule=data)
    data.fingerprint += "changed" if change == "data" else ""
    metrics = [FrechetWaveletDistance(2 if change == "metric" else 4)]
    evaluation = Evaluation(metrics, reference_images=70 if change == "count" else None)
    trainer(tmp_path, evaluation, max_epochs=0).fit(Painter(), datamodule=data)
    assert data.passes == 2


def test_a_run_does_not_depend_on_whether_statistics_were_there(tmp_path):
    random = []
    for at_start in (True, True, False):
        L.seed_everything(7)
        model = Painter()
        trainer(tmp_path, Evaluation(toy_metrics(), at_start=at_start)).fit(
            model, datamodule=ToyData(tmp_path)
        )
        random.append(model.random)
    assert random[0] == random[1] == random[2]


def test_a_checkpoint_holds_the_history_and_nothing_of_the_metrics(tmp_path):
    best = ModelCheckpoint(tmp_path, "best", monitor="val/fwd", auto_insert_metric_name=False)
    evaluation = Evaluation(toy_metrics())
    trainer(tmp_path, evaluation, best).fit(Painter(), datamodule=ToyData(tmp_path))
    saved = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert list(saved["state_dict"]) == ["weight", "steps"]
    resumed = Evaluation(toy_metrics())
    trainer(tmp_path, resumed, max_epochs=3).fit(
        Painter(), datamodule=ToyData(tmp_path), ckpt_path=tmp_path / "best.ckpt", weights_only=True
    )
    assert [seen for seen, _ in resumed.history] == [0, 32, 64, 96]


def test_sanity_checks_and_dry_runs_count_for_nothing(tmp_path):
    evaluation = Evaluation(toy_metrics(), at_start=False)
    trainer(tmp_path, evaluation, num_sanity_val_steps=2).fit(
        Painter(), datamodule=ToyData(tmp_path)
    )
    assert [seen for seen, _ in evaluation.history] == [32, 64]
    evaluation = Evaluation([FrechetWaveletDistance(4)])
    with pytest.warns(UserWarning, match="7 generated and 64 real images"):
        trainer(tmp_path, evaluation, fast_dev_run=True).fit(
            Painter(), datamodule=ToyData(tmp_path)
        )
    assert [list(values) for _, values in evaluation.history] == [["val/fwd7"]] * 2


def test_no_images_to_draw_is_no_error(tmp_path):
    evaluation = Evaluation(toy_metrics())
    trainer(tmp_path, evaluation).fit(Painter(), datamodule=ToyData(tmp_path, val_images=0))
    assert evaluation.history == []


def test_a_run_that_never_validates_measures_nothing(tmp_path):
    evaluation, data = Evaluation([InceptionMetrics(tmp_path / "missing.pth")]), ToyData(tmp_path)
    trainer(tmp_path, evaluation, limit_val_batches=0).fit(Painter(), datamodule=data)
    assert (data.passes, evaluation.history) == (0, [])


def test_missing_weights_stop_before_training(tmp_path):
    model = Painter()
    evaluation = Evaluation([InceptionMetrics(tmp_path / "missing.pth")])
    with pytest.raises(FileNotFoundError, match=re.escape("missing.pth: fetch https://")):
        trainer(tmp_path, evaluation).fit(model, datamodule=ToyData(tmp_path))
    assert model.images_seen == 0


class FieldData(ToyData):
    """Fields of one channel without bounds."""

    value_range = None

    def reference_dataloader(self, images=None):
        self.passes += 1
        return self.rows(fields(TRAIN, seed=1)[:images])

    def held_out_dataloader(self, images=None):
        return self.rows(fields(self.held_out_images, seed=2)[:images])

    def rows(self, images):
        share = images[self.trainer.global_rank :: self.trainer.world_size]
        return DataLoader([{"image": image} for image in share], batch_size=16)


class FieldPainter(Painter):
    """Samples fields, too strong ones the less it has been trained."""

    def validation_step(self, batch, batch_idx):
        images = [torch.empty(0, 1, 8, 8)]
        images += [fields(1, seed=100 + number) for number in batch["index"].tolist()]
        return {"image": (2 - int(self.steps) / 4) * torch.cat(images)}

    test_step = validation_step


def fields(count, seed):
    return 3 * torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def field_distance():
    return FieldDistance(-9.0, 9.0, 20)


def distance_by_hand(real, generated):
    metric = field_distance()
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return {name: float(value) for name, value in metric.values().items()}


def painted_fields(count, strength):
    return strength * torch.cat([fields(1, seed=100 + number) for number in range(count)])


def test_fields_without_bounds_are_measured_as_they_are(tmp_path):
    evaluation, data = Evaluation([field_distance()]), FieldData(tmp_path)
    run = trainer(tmp_path, evaluation)
    run.fit(FieldPainter(), datamodule=data)
    real = fields(TRAIN, seed=1)
    for (seen, values), strength in zip(evaluation.history, (2, 1.5, 1), strict=True):
        assert seen == 32 * 2 * (2 - strength)
        expected = distance_by_hand(real, painted_fields(60, strength))
        assert values == pytest.approx({f"val/{n}60": v for n, v in expected.items()}, rel=1e-6)
    held_out = distance_by_hand(real, fields(HELD_OUT, seed=2)[:60])
    assert evaluation.held_out == pytest.approx(held_out, rel=1e-6)
    assert float(run.callback_metrics["val/spectrum"]) < 0.1
    run.test(FieldPainter(), datamodule=FieldData(tmp_path))
    again = FieldData(tmp_path)
    trainer(tmp_path, Evaluation([field_distance()])).fit(FieldPainter(), datamodule=again)
    assert (data.passes, again.passes) == (1, 0)


def test_a_metric_of_fields_takes_pictures_beside_metrics_of_pictures(tmp_path):
    metrics = [FieldDistance(-1.0, 1.0, 20), FrechetWaveletDistance(4)]
    evaluation = Evaluation(metrics, at_start=False)
    trainer(tmp_path, evaluation, max_epochs=1).fit(Painter(), datamodule=ToyData(tmp_path))
    expected = FieldDistance(-1.0, 1.0, 20)
    expected.update(blotches(TRAIN, seed=1).float() / 127.5 - 1, real=True)
    expected.update(paintings(60, 40).float() / 127.5 - 1, real=False)
    wanted = {f"val/{name}60": float(value) for name, value in expected.values().items()}
    wanted["val/fwd60"] = by_hand(paintings(60, 40))["fwd"]
    assert evaluation.history[0][1] == pytest.approx(wanted, rel=1e-5)


def test_a_metric_of_pictures_is_refused_for_fields(tmp_path):
    data, model = FieldData(tmp_path), FieldPainter()
    evaluation = Evaluation([field_distance(), FrechetWaveletDistance(4)])
    sentence = r"without bounds, got FrechetWaveletDistance, .*metrics\.FieldDistance"
    with pytest.raises(ValueError, match=sentence):
        trainer(tmp_path, evaluation).fit(model, datamodule=data)
    assert (data.passes, model.images_seen) == (0, 0)


def test_bf16_mixed_measures_the_same(tmp_path):
    found = []
    for precision in ("32-true", "bf16-mixed"):
        evaluation = Evaluation(toy_metrics())
        trainer(tmp_path, evaluation, precision=precision, max_epochs=1).fit(
            Painter(), datamodule=ToyData(tmp_path)
        )
        found.append(evaluation.history)
    assert found[0] == found[1]


@pytest.mark.ddp
def test_two_processes_log_what_one_does(tmp_path):
    found = []
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        # 61 images: one process samples one more than the other.
        run = trainer(
            folder, Evaluation(toy_metrics()), devices=devices, strategy="ddp_spawn", max_epochs=1
        )
        run.fit(Painter(), datamodule=ToyData(folder, val_images=61))
        found.append({name: float(value) for name, value in run.callback_metrics.items()})
    assert "val/fwd61" in found[0]
    assert found[1] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.ddp
def test_two_processes_measure_fields_as_one_does(tmp_path):
    found = []
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        evaluation = Evaluation([field_distance()])
        run = trainer(folder, evaluation, devices=devices, strategy="ddp_spawn", max_epochs=1)
        run.fit(FieldPainter(), datamodule=FieldData(folder, val_images=61))
        found.append({name: float(value) for name, value in run.callback_metrics.items()})
    assert {"val/spectrum61", "val/marginal61"} <= found[0].keys()
    assert found[1] == pytest.approx(found[0], rel=1e-5)


@pytest.mark.ddp
def test_a_process_that_draws_nothing_neither_hangs_nor_raises(tmp_path):
    evaluation = Evaluation(toy_metrics())
    run = trainer(tmp_path, evaluation, devices=2, strategy="ddp_spawn", max_epochs=1)
    run.fit(Painter(), datamodule=LopsidedData(tmp_path))
    assert float(run.callback_metrics["val/fwd60"]) == pytest.approx(
        by_hand(paintings(60, 40))["fwd"], rel=1e-5
    )


class LopsidedData(ToyData):
    """Process 0 samples everything, process 1 gets a batch of nothing."""

    def numbers(self, count):
        if self.trainer.is_global_zero:
            return DataLoader(
                [{"index": torch.tensor(number)} for number in range(count)], batch_size=7
            )
        # Lightning skips validation on a process without batches, and the others wait for ever.
        return DataLoader([{"index": torch.empty(0, dtype=torch.long)}], batch_size=None)


def test_a_yaml_names_metrics_and_their_settings():
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(L.Callback, "callback")
    config = parser.parse_object({"callback": yaml.safe_load(YAML)})
    evaluation = parser.instantiate_classes(config).callback
    wavelet, inception, other = evaluation.metrics
    assert wavelet.packet_side == 16
    assert str(inception.features.weights) == "weights.pth"
    assert (other.name, other.features.num_features) == ("toy_distance", 6)
    assert parser.parse_string(parser.dump(config)) == config


YAML = """
class_path: wavelight.callbacks.evaluation.Evaluation
init_args:
  metrics:
    - class_path: wavelight.metrics.FrechetWaveletDistance
    - class_path: wavelight.metrics.InceptionMetrics
      init_args:
        weights: weights.pth
    - class_path: wavelight.metrics.FeatureMetrics
      init_args:
        features:
          class_path: tests.wavelight.metrics.toy.ToyFeatures
        distance: toy_distance
  reference_images: null
  at_start: true
"""
