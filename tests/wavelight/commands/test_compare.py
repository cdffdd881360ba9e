"""Trained systems are compared on equal terms, and nothing is measured twice."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy import stats

import wavelight
from tests.checkpoints import IMAGES, SEED, data, sgm, wavediff, written, wsgm
from tests.places import ROOT
from wavelight.__main__ import main
from wavelight.config.seeds import mean_over_seeds
from wavelight.evaluation.comparison.curves import plot_comparison
from wavelight.evaluation.comparison.rows import ComparisonRow
from wavelight.evaluation.comparison.runs import ComparedRun, _names, systems_of_runs
from wavelight.evaluation.comparison.seeds import seeds_of_systems
from wavelight.support.figures import empty_figure, save_figure
from wavelight.systems import ImageGenerator
from wavelight.systems.cost import NetworkCost, cost
from wavelight.training.cli import CLI
from wavelight.weights import read_checkpoint

METRICS = [
    {"class_path": "wavelight.metrics.FrechetWaveletDistance", "init_args": {"packet_side": 4}}
]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of a WSGM, and checkpoints of an SGM and of a WaveDiff, all on the same data."""
    folder = tmp_path_factory.mktemp("runs")
    config = {
        "seed_everything": SEED,
        "trainer": {
            "default_root_dir": str(folder / "wsgm"),
            "accelerator": "cpu",
            "max_epochs": 1,
            "limit_train_batches": 3,
            "limit_val_batches": 0,
            "enable_progress_bar": False,
        },
        "ema": {"decay": 0.5},
        "pictures": {"images": 0},
        "evaluation": {"metrics": METRICS, "at_start": False},
        "model": wsgm(),
        "data": data(folder),
    }
    (folder / "wsgm.yaml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["wavelight"])
        main(["fit", "--config", str(folder / "wsgm.yaml")])
    for name, model in {"sgm": sgm(), "wavediff": wavediff()}.items():
        written(last(folder, name), model, data(folder))
    return folder


def last(folder, name):
    return folder / name / "checkpoints" / "last.ckpt"


def compare(paths, *options):
    """Run the command, whose rows are in ``compare.json`` then."""
    named = [str(path) for path in paths] or ["[]"]
    quick = ["--images", str(IMAGES), "--seed", str(SEED), "--batch_size", "5"]
    where = ["--device", "cpu", "--metrics", json.dumps(METRICS), "--out", "compare.json"]
    main(["compare", *named, *quick, *where, *options])


def rows():
    with open("compare.json") as file:
        return json.load(file)["rows"]


def summaries_of_file():
    with open("compare.json") as file:
        return json.load(file)["systems"]


def table(printed):
    """Return the caption and the table's rows, by the names of the columns."""
    caption, _, lines = printed.partition("\n\n")
    header, _, *found = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()
    )
    return caption, [dict(zip(header, cells, strict=True)) for cells in found]


def test_values_are_those_of_validate(folder, capsys):
    path = last(folder, "wsgm")
    options = ["--config", str(folder / "wsgm.yaml"), "--ckpt_path", str(path)]
    cli = CLI("validate", [*options, "--trainer.limit_val_batches", "1.0"])
    cli.run()
    (evaluation,) = (each for each in cli.trainer.callbacks if hasattr(each, "held_out"))
    capsys.readouterr()
    compare([path])
    (row,) = rows()
    assert row["values"]["fwd"] == evaluation.history[-1][1][f"val/fwd{IMAGES}"]
    assert row["held_out"] == evaluation.held_out
    assert row["images_seen"] == 12
    captured = capsys.readouterr()
    caption, (shown,) = table(captured.out)
    assert f"Held-out real images (12): fwd {evaluation.held_out['fwd']:.4g}." in caption
    assert shown["system"] == "wsgm"
    assert shown["images seen"] == "12"
    assert shown["fwd"] == f"{row['values']['fwd']:.4g}"
    assert f"wsgm, steps 2: fwd {row['values']['fwd']:.4g}" in captured.err


def test_systems_are_measured_at_each_number_of_steps(folder, capsys):
    paths = [last(folder, name) for name in ("sgm", "wsgm")]
    compare(paths, "--steps", "[1,[3,1]]")
    _, shown = table(capsys.readouterr().out)
    assert [(row["system"], row["steps"], row["NFE"]) for row in shown] == [
        ("sgm", "1", "1"),
        ("wsgm", "1", "1 + 1"),
        ("wsgm", "3 + 1", "3 + 1"),
    ]
    assert shown[0]["images seen"] == "-"
    system = wavelight.load(paths[1])
    for model, steps in zip(system.models, (3, 1), strict=True):
        model.take_steps(steps)
    counted = [network._asdict() for network in cost(system)]
    assert rows()[2]["networks"] == counted
    total = sum(network["macs"] for network in counted)
    assert float(shown[2]["GMACs"]) == pytest.approx(total / 1e9, rel=1e-3)
    assert all(row["milliseconds"] > 0 for row in rows())


def test_systems_without_score_models_are_measured_as_they_are(folder, capsys):
    compare([last(folder, "wavediff")], "--steps", "[1,2]", "--plot", "plots/compare.png")
    _, (shown,) = table(capsys.readouterr().out)
    assert (shown["steps"], shown["NFE"]) == ("3", "3")
    with open("plots/compare.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"


@pytest.mark.ddp
def test_two_processes_measure_the_same_and_print_one_table(folder, capsys):
    compare([last(folder, "wsgm")], "--steps", "[1,2]")
    one = rows()
    command = [sys.executable, "-m", "wavelight", "compare", f"[{last(folder, 'wsgm')}]"]
    options = ["--steps", "[1,2]", "--images", str(IMAGES), "--seed", str(SEED), "--devices", "2"]
    where = ["--device", "cpu", "--metrics", json.dumps(METRICS), "--out", "two.json"]
    done = subprocess.run(
        [*command, *options, *where],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    _, shown = table(done.stdout.rstrip("\n"))
    assert [row["steps"] for row in shown] == ["1", "2"]
    with open("two.json") as file:
        two = json.load(file)["rows"]
    for single, double in zip(one, two, strict=True):
        assert double["values"] == pytest.approx(single["values"], rel=1e-6)
        assert double["networks"] == single["networks"]


def test_what_was_measured_is_not_measured_again(folder, capsys, monkeypatch):
    path = last(folder, "sgm")
    compare([path], "--steps", "[1]")
    before = rows()
    capsys.readouterr()
    generated = []
    generate = ImageGenerator.generate

    def watched(self, index, seed, label=None):
        if index.numel() > 1:  # and not where the cost is counted
            generated.append([model.steps for model in self.models])
        return generate(self, index, seed)

    monkeypatch.setattr(ImageGenerator, "generate", watched)
    compare([path], "--steps", "[1,2]")
    assert {tuple(steps) for steps in generated} == {(2,)}
    assert rows()[:1] == before
    assert re.findall(r"sgm, steps (\d): .*\(measured before\)", capsys.readouterr().err) == ["1"]
    generated.clear()
    compare([path], "--steps", "[1]", "--seed", "4")
    assert generated
    assert len(rows()) == 3


def test_a_stopped_call_leaves_its_rows(folder, monkeypatch):
    generate = ImageGenerator.generate

    def stopping(self, index, seed, label=None):
        if [model.steps for model in self.models] == [2, 2]:
            raise KeyboardInterrupt
        return generate(self, index, seed)

    monkeypatch.setattr(ImageGenerator, "generate", stopping)
    # Systems are counted, one after the other, before they sample.
    monkeypatch.setattr(
        "wavelight.evaluation.comparison.bench.cost", lambda system: [NetworkCost("", 1, 1, 1)]
    )
    with pytest.raises(SystemExit):
        compare([last(folder, "wsgm")], "--steps", "[1,2]")
    assert [row["steps"] for row in rows()] == [[1, 1]]


def test_a_run_is_named_by_as_much_as_tells_it_apart(folder, tmp_path, capsys):
    paths = [last(folder, "sgm"), tmp_path / "sgm" / "checkpoints" / "best.ckpt"]
    paths[1].parent.mkdir(parents=True)
    paths[1].write_bytes(paths[0].read_bytes())
    main(["export", str(paths[0]), "--out", "exported.safetensors"])
    compare([*paths, "exported.safetensors"], "--steps", "[1]")
    _, shown = table(capsys.readouterr().out)
    assert [row["system"] for row in shown] == ["sgm/last", "sgm/best", "exported/exported"]
    assert len(rows()) == 1  # of the same weights


def other_data(folder, path, **changes):
    """Write the checkpoint of the SGM as a run on other data would have."""
    checkpoint = read_checkpoint(last(folder, "sgm"))
    config = yaml.safe_load(checkpoint["wavelight_config"])
    config["data"] |= changes
    torch.save(checkpoint | {"wavelight_config": yaml.safe_dump(config)}, path)
    return path


def test_what_does_not_matter_may_differ(folder, tmp_path):
    changes = {"batch_size": 8, "num_workers": 1, "cache_dir": None, "val_images": 0}
    other = other_data(folder, tmp_path / "other.ckpt", **changes)
    compare([last(folder, "sgm"), other], "--steps", "[1]")
    assert len(rows()) == 1  # of the same weights


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        compare(*arguments)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"source": {"class_path": "data_modules.Scenes", "init_args": {"images": 65}}},
            "data.source.images is 64 in the first and 65 in the second",
        ),
        (
            {
                "source": {
                    "class_path": "data_modules.GaussianFields",
                    "init_args": {"images": 64, "eta": 1.0},
                }
            },
            "data.source.class_path is data_modules.Scenes in the first and "
            "data_modules.GaussianFields in the second",
        ),
        ({"held_out": 0}, "data.held_out is 16 in the first and 0 in the second"),
        ({"flip": False}, "data.flip is True in the first and False in the second"),
    ],
)
def test_other_data_are_refused(folder, tmp_path, capsys, changes, sentence):
    other = other_data(folder, tmp_path / "other.ckpt", **changes)
    error = refused(capsys, [last(folder, "sgm"), other])
    assert "were trained on different data" in error
    assert sentence in error


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (["sgm"], ["--images", "0"], "images must be at least 1, got 0"),
        (["sgm"], ["--steps", "[0]"], "steps must be at least 1, got 0"),
        (["sgm"], ["--steps", "[]"], "steps is empty: give at least one number"),
        (
            ["sgm"],
            ["--steps", "[[1,2]]"],
            "steps [1, 2] has 2 numbers, but no system has that many score models: give",
        ),
        (
            ["sgm", "wsgm"],
            ["--steps", "[[1,2]]"],
            "no entry of steps fits sgm, which has 1 score models: give a number, or a list of 1",
        ),
        (["wavediff"], ["--steps", "[[1]]"], "steps [1] has 1 numbers, but no system has"),
        (["sgm", "sgm"], [], "checkpoints must name each file once, got "),
        ([], [], "checkpoints is empty: name at least one checkpoint to compare"),
        (["sgm"], ["--device", "abacus"], "abacus"),
        (["sgm"], ["--reference_images", "0"], "reference_images must be at least 1, got 0"),
        (["gone"], [], "there is no checkpoint"),
        (["sgm"], ["--out", "notes.json"], "notes.json holds no comparison"),
        (["gone"], ["--out", "x.txt"], "out must end with .json or .csv, got x.txt"),
        (["gone"], ["--plot", "x.gif"], "plot must end with .pdf, .png, .svg, got x.gif"),
    ],
)
def test_bad_input_is_one_sentence(folder, tmp_path, capsys, names, options, sentence):
    (tmp_path / "notes.json").write_text("[]")
    assert sentence in refused(capsys, [last(folder, name) for name in names], *options)


def test_a_checkpoint_without_configuration_is_refused(folder, tmp_path, capsys):
    checkpoint = read_checkpoint(last(folder, "sgm")) | {"wavelight_config": ""}
    torch.save(checkpoint, tmp_path / "by_hand.ckpt")
    assert "holds no configuration" in refused(capsys, [tmp_path / "by_hand.ckpt"])


def test_a_plot_without_matplotlib_is_refused_before_work_starts(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    error = refused(capsys, [last(folder, "sgm")], "--plot", "compare.png")
    assert "plotting needs matplotlib: pip install matplotlib" in error


def row_of(run, steps, networks):
    return ComparisonRow(run, "a", 1, "", {}, None, steps, networks, 1, 1, "", {}, {}, 0, {})


def test_steps_that_differ_are_drawn_at_their_mean():
    row = row_of("", [18, 8, 4], [])
    assert row.mean_steps == 10


def of_seed(folder, path, seed, **changes):
    """Write the checkpoint of the SGM as a run with another seed would have, and other options of training."""
    checkpoint = read_checkpoint(last(folder, "sgm"))
    config = yaml.safe_load(checkpoint["wavelight_config"])
    config["seed_everything"] = config["model"]["init_args"]["seed"] = seed
    config["data"]["seed"] = seed
    config["trainer"] = {"default_root_dir": str(path), "max_epochs": 1, **changes}
    state = {
        name: tensor + 0.02 * seed if tensor.is_floating_point() else tensor
        for name, tensor in checkpoint["state_dict"].items()
    }
    path = path / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    told = {"wavelight_config": yaml.safe_dump(config), "state_dict": state}
    torch.save(checkpoint | told, path)
    return path


def test_seeds_of_one_system_are_one_row_with_its_interval(folder, tmp_path, capsys):
    paths = [of_seed(folder, tmp_path / f"small-{seed}", seed) for seed in (1, 2, 3)]
    longer = of_seed(folder, tmp_path / "longer", 4, max_epochs=2)
    compare([*paths, longer], "--steps", "[1]", "--plot", "compare.png")
    captured = capsys.readouterr()
    assert [row["run"] for row in rows()] == ["small-1", "small-2", "small-3", "longer"]
    assert [row["system"] for row in rows()] == ["small", "small", "small", "longer"]
    assert [row["training_seed"] for row in rows()] == [1, 2, 3, 4]
    assert [row["checkpoint"] for row in rows()] == [str(path) for path in [*paths, longer]]
    values = [row["values"]["fwd"] for row in rows()]
    assert len(set(values[:3])) == 3
    caption, shown = table(captured.out)
    assert [(row["system"], row["seeds"]) for row in shown] == [("small", "3"), ("longer", "1")]
    assert [row["fwd"] for row in shown] == [str(mean_over_seeds(values[:3])), f"{values[3]:.4g}"]
    assert "95 % interval (Student's t)" in caption
    assert "small-2, steps 1: fwd" in captured.err
    assert Path("compare.png").exists()
    small, alone = summaries_of_file()
    mean = mean_over_seeds(values[:3])
    assert (small["system"], small["training_seeds"], small["nfe"]) == ("small", [1, 2, 3], 1)
    assert small["values"]["fwd"]["mean"] == pytest.approx(np.mean(values[:3]))
    assert small["values"]["fwd"]["interval"] == pytest.approx(
        [mean.value - mean.half_width, mean.value + mean.half_width]
    )
    assert alone["values"]["fwd"] == {"mean": values[3], "half_width": None, "interval": None}


def test_intervals_are_those_of_students_t():
    values = [1.3, 1.9, 1.1, 1.6]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    mean = mean_over_seeds(values)
    assert mean.value - mean.half_width == pytest.approx(low)
    assert mean.value + mean.half_width == pytest.approx(high)


@pytest.mark.parametrize(
    ("ending", "beginning"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_figure_is_what_its_ending_says_and_the_same_each_time(tmp_path, ending, beginning):
    path = tmp_path / f"plot.{ending}"
    contents = []
    for _ in range(2):
        figure = empty_figure(path, 2, 2)
        figure.subplots().plot([1, 2])
        save_figure(figure, path)
        contents.append(path.read_bytes())
    assert contents[0].startswith(beginning)
    assert contents[0] == contents[1]


def test_curves_have_ticks_that_are_numbers_and_shares_have_an_axis_from_0_to_1(tmp_path):
    networks = [NetworkCost("", 4, 1, 10**9)]
    rows = [
        row_of(run, [steps], networks)._replace(
            system=run,
            values={"fid": 9.0 * factor / steps, "recall": 0.3 + steps / 100},
            conditions={"images": 10},
        )
        for run, factor in (("a", 1), ("b", 5))
        for steps in (1, 4, 16)
    ]
    figure = empty_figure(tmp_path / "plot.svg", 8, 4)
    plot_comparison(figure, seeds_of_systems(rows), tmp_path / "plot.svg")
    fid, _, recall, _ = figure.axes
    assert (fid.get_ylabel(), recall.get_ylabel()) == (
        "fid of 10 images ↓",
        "recall of 10 images ↑",
    )
    assert (fid.get_yscale(), recall.get_yscale()) == ("log", "linear")
    low, high = recall.get_ylim()
    assert -0.05 < low <= 0 < 1 <= high < 1.05
    ticks = [label.get_text() for label in fid.get_yticklabels()]
    assert {"1", "2", "5", "10", "20"} <= set(ticks)
    texts = [text for axes in figure.axes for text in ticks_of(axes) if text]
    assert all(re.fullmatch(r"\u2212?[\d.]+", text) for text in texts), texts
    markers = {line.get_marker() for line in fid.get_lines() if line.get_marker() not in "|_"}
    assert len(markers) == 2


def ticks_of(axes):
    axis = axes.yaxis
    return [
        label.get_text()
        for which in ("major", "minor")
        for label in axis.get_ticklabels(which=which)
    ]


def run_of(name, seed, images_seen=64, decay=0.9, **trainer):
    trainer = {"max_epochs": 1, **trainer}
    config = {"seed_everything": seed, "trainer": trainer, "model": {"seed": seed}, "data": {}}
    config |= {"ema": {"decay": decay}, "ckpt_path": None if seed == 1 else "last"}
    path = Path("/runs") / name / "checkpoints" / "last.ckpt"
    return ComparedRun(path, name, images_seen, config)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([run_of("gan-1", 1), run_of("gan-10", 10)], ["gan", "gan"]),
        ([run_of("gan/seed-1", 1), run_of("gan/seed-2", 2)], ["gan", "gan"]),
        ([run_of("seed-1", 1), run_of("seed_2", 2)], ["runs", "runs"]),
        ([run_of("a", 1), run_of("b", 2)], ["a, b", "a, b"]),
        ([run_of("a-1", 1), run_of("a-2", 2, images_seen=32)], ["a-1", "a-2"]),
        ([run_of("a-1", 1), run_of("a-2", 2, max_epochs=3)], ["a-1", "a-2"]),
        ([run_of("a-1", 1), run_of("a-2", 2, default_root_dir="x", logger=[{}])], ["a", "a"]),
        ([run_of("a-1", 1), run_of("a-2", 2, decay=0.99)], ["a-1", "a-2"]),
        # Trained twice with one seed.
        ([run_of("a-1", 1), run_of("again", 1)], ["a-1", "again"]),
    ],
)
def test_runs_are_seeds_of_one_system_if_they_differ_in_nothing_else(runs, expected):
    named, _ = systems_of_runs(runs)
    assert [named[run.name] for run in runs] == expected


def at(run, name, images_seen):
    return run._replace(path=run.path.with_name(name), images_seen=images_seen)


def test_best_checkpoints_of_seeds_are_joined_whatever_they_have_seen():
    runs = [at(run_of(f"a-{seed}", seed), "best.ckpt", 10 * seed) for seed in (1, 2)]
    named, notes = systems_of_runs(runs)
    assert named == {"a-1": "a", "a-2": "a"}
    assert notes == []
    rows = [row_of(run.name, [1], [])._replace(images_seen=run.images_seen) for run in runs]
    (seeds,) = seeds_of_systems(rows)
    assert seeds.images_seen == "10 to 20"


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (
            at(run_of("a-2", 2), "last.ckpt", 32),
            "a-1 and a-2 are not joined as seeds of one system, because one has seen 64 images and the other 32.",
        ),
        (
            at(run_of("a-2", 2), "best.ckpt", 64),
            "a-1 and a-2 are not joined as seeds of one system, because one checkpoint is last.ckpt and the other "
            "best.ckpt.",
        ),
        (run_of("again", 1), "a-1, again are not joined, because a seed is among them twice."),
    ],
)
def test_a_sentence_says_why_runs_are_not_joined(other, sentence):
    _, notes = systems_of_runs([run_of("a-1", 1), other])
    assert notes == [sentence]


def test_other_systems_need_no_sentence():
    _, notes = systems_of_runs([run_of("a-1", 1), run_of("b-2", 2, decay=0.99)])
    assert notes == []


def test_a_csv_has_a_line_a_row(folder, capsys):
    compare([last(folder, "wsgm")], "--steps", "[1,2]")
    compare([last(folder, "wsgm")], "--steps", "[1,2]", "--out", "compare.csv")
    with open("compare.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["steps"] for line in lines] == ["1 1", "2 2"]
    for line, row in zip(lines, rows(), strict=True):
        assert float(line["fwd"]) == row["values"]["fwd"]
        assert line["checkpoint"] == str(last(folder, "wsgm"))
        assert int(line["training_seed"]) == SEED


def test_names_tell_the_runs_of_a_sweep_apart():
    folders = [f"/runs/{variant}/seed-{seed}" for variant in "ab" for seed in (1, 2)]
    paths = [Path(folder) / "checkpoints" / "last.ckpt" for folder in folders]
    assert _names(paths) == ["a/seed-1", "a/seed-2", "b/seed-1", "b/seed-2"]


def test_seeds_that_cost_differently_are_refused():
    rows = [
        row_of(name, [1], [NetworkCost("", 1, 1, macs)])
        for name, macs in (("a-1", 10), ("a-2", 20))
    ]
    with pytest.raises(ValueError, match="a-1 and a-2 are seeds of a, but cost"):
        seeds_of_systems(rows)
