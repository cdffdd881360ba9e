"""A sweep checks all variants first, goes on where it was stopped, and compares seeds with intervals."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest
import torch
import yaml

from tests.places import ROOT, TINY
from wavelight.__main__ import main
from wavelight.commands import sweep as command
from wavelight.config.seeds import difference_but_seed
from wavelight.systems.base import CONFIG_KEY, PROGRESS_KEY
from wavelight.training import sweep_file as module
from wavelight.training.sweep_processes import shared_cores
from wavelight.weights import read_checkpoint

SWEEPS = sorted((ROOT / "experiments" / "sweeps").glob("*.yaml"))
METRIC = {
    "class_path": "wavelight.metrics.FrechetWaveletDistance",
    "init_args": {"packet_side": 4},
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["wavelight"])


def shipped():
    for path in SWEEPS:
        for name in module.read_sweep(path).variants:
            yield pytest.param(path, name, id=f"{path.stem}-{name}")


def written(**changes):
    """Write a small sweep of two variants and two seeds."""
    sweep = {
        "folder": "runs",
        "seeds": [1, 2],
        "base": {"config": str(TINY), "data.source.images": 64},
        "variants": {"two": {}, "three": {"model.steps": 3}},
        "compare": {"images": 12, "device": "cpu", "metrics": [METRIC]},
    }
    Path("sweep.yaml").write_text(yaml.safe_dump(sweep | changes, sort_keys=False))
    return "sweep.yaml"


def begun(variant, seed, batches):
    """Leave the checkpoint that a run leaves after so many batches, without its weights."""
    run = next(
        run
        for run in module.runs_of(module.read_sweep(Path("sweep.yaml")), [1, 2])
        if (run.variant, run.seed) == (variant, seed)
    )
    config = {**run.config, "seed_everything": seed}
    run.checkpoint.parent.mkdir(parents=True)
    progress = {"batches_seen": batches, "images_seen": 8 * batches}
    torch.save(
        {"state_dict": {}, CONFIG_KEY: yaml.safe_dump(config), PROGRESS_KEY: progress},
        run.checkpoint,
    )


def printed(capsys, *options):
    main(["sweep", "sweep.yaml", *options])
    return capsys.readouterr()


def refused(capsys, *options):
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", "sweep.yaml", *options])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(("path", "variant"), list(shipped()))
def test_every_variant_that_ships_can_be_built(path, variant):
    file = module.read_sweep(path)
    file.variants = {variant: file.variants[variant]}
    (run,) = module.runs_of(file, [7])
    assert run.config["seed_everything"] == run.config["model"]["init_args"]["seed"] == 7
    assert run.config["trainer"]["default_root_dir"] == f"{file.folder}/{variant}/seed-7"


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweeps_that_ship_have_three_seeds_and_say_what_they_need(path):
    text = path.read_text()
    # The demo has minutes.
    assert module.read_sweep(path).seeds == ([1] if path.stem == "demo" else [1, 2, 3])
    assert f"python -m wavelight sweep experiments/sweeps/{path.name}" in text
    assert "# Hardware:" in text
    assert "# Expected:" in text


def test_commands_are_printed_one_a_line(capsys):
    written()
    lines = printed(capsys, "--dry_run", "true").out.splitlines()
    commands = [shlex.split(line) for line in lines]
    assert [command[-5:] for command in commands] == [
        [str(seed), "--trainer.default_root_dir", f"runs/{name}/seed-{seed}", "--ckpt_path", "last"]
        for seed in (1, 2)
        for name in ("two", "three")
    ]
    assert commands[1][:6] == ["python", "-m", "wavelight", "fit", "--config", str(TINY)]
    assert "--model.steps 3" in lines[1]
    assert not Path("runs").exists()


def test_other_seeds_and_a_list_as_a_value(capsys):
    betas = {"model.generator_optimizer.init_args.betas": [0.1, 0.2]}
    written(variants={"betas": betas})
    (line,) = printed(capsys, "--seeds", "[5]", "--dry_run", "true").out.splitlines()
    words = shlex.split(line)
    assert words[words.index("--model.generator_optimizer.init_args.betas") + 1] == "[0.1, 0.2]"
    assert "--seed_everything 5" in line


def test_chosen_variants_on_other_data_in_another_folder(capsys):
    written(base={"config": str(TINY), "data.source.images": 64, "data.flip": False})
    options = "{data.source.images: 96, data.batch_size: 4}"
    given = ("--variants", "[three]", "--folder", "elsewhere", "--options", options)
    first, second = printed(capsys, *given, "--dry_run", "true").out.splitlines()
    words = shlex.split(first)
    assert words[words.index("--data.source.images") + 1] == "96"
    assert words[words.index("--data.batch_size") + 1] == "4"
    assert words[words.index("--data.flip") + 1] == "false"
    assert words[words.index("--model.steps") + 1] == "3"
    assert "elsewhere/three/seed-1" in words
    assert "elsewhere/three/seed-2" in shlex.split(second)


@pytest.mark.parametrize("variants", ["[]", "[two,two]", "[four]"])
def test_variants_must_be_different_ones_of_the_file(capsys, variants):
    written()
    error = refused(capsys, "--variants", variants)
    assert "variants must be different ones of two, three, at least one, got [" in error


def test_finished_runs_are_left_out(capsys):
    written()
    begun("two", 1, 6)  # 2 epochs of 3 batches
    begun("three", 1, 5)
    lines = printed(capsys, "--dry_run", "true").out.splitlines()
    folders = ["runs/three/seed-1", "runs/two/seed-2", "runs/three/seed-2"]
    assert [line.split()[-3] for line in lines] == folders


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"variants": {}}, "variants must name at least one variant, got none"),
        ({"variants": {"a/b": {}}}, "any of _.+-, got 'a/b'"),
        ({"variants": {"a": {"ckpt_path": "x"}}}, "variant a must not set ckpt_path"),
        ({"variants": {"a": {}, "b": {"model.stepz": 3}}}, "variant b: "),
        ({"variants": {"a": {"model.steps": 0}}}, "variant a: "),
        ({"variants": {"a": {"config": "gone.yaml"}}}, "variant a: "),
        ({"variants": {"a": {"trainer.max_epochs": None}}}, "trainer.max_epochs and limit_train"),
        (
            {"variants": {"a": {"trainer.callbacks.decay": 0.5}}},
            "variant a: --trainer.callbacks.decay must name a callback",
        ),
        (
            {"variants": {"a": {"config": "experiments/phi4_wsgm.yaml", "model.details.steps": 4}}},
            "variant a: --model.details.steps must not point inside a list",
        ),
        (
            {"variants": {"a": {"config": "lost.yaml"}}},
            "variant a: base of lost.yaml must name files beside it, got gone.yaml, which is missing",
        ),
        ({"seeds": [1, 1]}, "seeds must be different numbers, at least one, got [1, 1]"),
        ({"seeds": []}, "seeds must be different numbers"),
        ({"compare": {"picture": 3}}, "compare: "),
        ({"colour": "red"}, "sweep.yaml must describe a sweep: "),
    ],
)
def test_bad_files_are_refused_before_a_run_starts(capsys, changes, sentence):
    Path("lost.yaml").write_text("base: gone.yaml\n")
    written(**changes)
    assert sentence in refused(capsys)
    assert not Path("runs").exists()


def test_variants_build_on_bases_and_name_callbacks():
    Path("own.yaml").write_text(f"base: {TINY}\nema: {{decay: 0.5}}\n")
    base = {"config": "own.yaml", "data.source.images": 64, "pictures.every_n_epochs": 2}
    written(base=base, variants={"plain": {}, "slow": {"ema.decay": 0.75}})
    plain, slow = module.runs_of(module.read_sweep(Path("sweep.yaml")), [1])
    assert (plain.config["ema"]["decay"], slow.config["ema"]["decay"]) == (0.5, 0.75)
    for run in (plain, slow):
        assert run.config["pictures"] == {**plain.config["pictures"], "every_n_epochs": 2}
        assert run.config["pictures"]["images"] == 0
        assert run.config["trainer"]["limit_train_batches"] == 3
    difference = difference_but_seed(plain.config, slow.config)
    assert difference == ("ema.decay", 0.5, 0.75)


def test_a_run_with_another_callback_is_not_gone_on_with(capsys):
    written()
    begun("three", 2, 5)
    written(base={"config": str(TINY), "data.source.images": 64, "ema.decay": 0.5})
    error = refused(capsys)
    assert "ema.decay must be 0.9 to continue runs/three/seed-2, got 0.5" in error


def test_jobs_share_the_cores_unless_threads_are_given(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert "OMP_NUM_THREADS" not in shared_cores(1)
    assert [shared_cores(jobs)["OMP_NUM_THREADS"] for jobs in (2, 3, 20)] == ["4", "2", "1"]
    assert shared_cores(2)["PATH"] == os.environ["PATH"]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert shared_cores(2)["OMP_NUM_THREADS"] == "3"


def test_too_few_jobs_are_refused(capsys):
    written()
    assert "jobs must be at least 1, got 0" in refused(capsys, "--jobs", "0")


def test_runs_with_other_options_are_not_mixed(capsys):
    written()
    begun("three", 2, 5)
    written(variants={"two": {}, "three": {"model.steps": 4}})
    error = refused(capsys)
    assert "model.steps must be 3 to continue runs/three/seed-2, got 4" in error


# Stands for a training: it waits for a signal, fails, or leaves what a finished run would.
TRAINING = """
import pathlib, signal, sys, time
folder = pathlib.Path({folder!r})
def save(*_):
    (folder / "saved").touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
(folder / "begun").touch()
if {kind!r} == "waits":
    time.sleep(60)
if {kind!r} == "fails":
    sys.exit("it diverged")
(folder / "done").touch()
"""


@pytest.fixture
def trainings(monkeypatch):
    """Let runs do what a dictionary says by their folder, and nothing is compared but in name."""
    kinds, compared = {}, []
    monkeypatch.setattr(
        module.SweepRun,
        "command",
        property(
            lambda run: [
                "-c",
                TRAINING.format(folder=str(run.folder), kind=kinds.get(str(run.folder))),
            ]
        ),
    )
    monkeypatch.setattr(
        module.SweepRun, "finished", property(lambda run: (run.folder / "done").exists())
    )

    def compare(checkpoints, **options):
        compared.append((checkpoints, options))
        return "a table"

    monkeypatch.setattr(command, "compare", compare)
    monkeypatch.setattr(command, "_comparison", lambda file, trust_code: {"images": 12})
    return kinds, compared


def test_runs_that_fail_are_named_and_do_not_stop_others(capsys, trainings):
    kinds, compared = trainings
    kinds["runs/three/seed-1"] = "fails"
    written()
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", "sweep.yaml", "--jobs", "2"])
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    last = error.splitlines()[-1]
    assert "1 of 4 runs failed: three, seed 1 (runs/three/seed-1/log.txt)" in last
    assert error.count(": begins\n") == 4
    assert error.count(": finished after ") == 3
    assert "three, seed 1: ended after 0.0 minutes with exit code 1" in error
    assert "it diverged" in Path("runs/three/seed-1/log.txt").read_text()
    assert not compared
    kinds.clear()
    both = printed(capsys)
    assert both.out == "a table\n"
    assert both.err.count(": begins\n") == 1
    assert both.err.count(": finished before\n") == 3
    ((checkpoints, options),) = compared
    assert len(checkpoints) == 4
    assert options == {"images": 12}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_runs_which_save(capsys, trainings, number):
    kinds, compared = trainings
    kinds["runs/two/seed-1"] = "waits"
    written()
    begun = Path("runs/two/seed-1/begun")

    def interrupt():
        while not begun.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    Timer(0, interrupt).start()
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", "sweep.yaml"])
    assert stopped.value.code == 128 + number
    assert signal.getsignal(number) == before
    error = capsys.readouterr().err
    assert "two, seed 1: stopped after" in error
    assert error.endswith("Stopped; the same command continues.\n")
    assert Path("runs/two/seed-1/saved").exists()
    assert error.count(": begins\n") == 1
    assert not compared


@pytest.mark.slow
def test_a_sweep_that_is_stopped_goes_on_and_compares():
    written(base={"config": str(TINY), "data.source.images": 64, "trainer.max_epochs": 40})
    command = [sys.executable, "-m", "wavelight", "sweep", "sweep.yaml"]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=surroundings, stderr=subprocess.PIPE, text=True) as process:
        second = Path("runs/three/seed-1/checkpoints/last.ckpt")
        while not second.exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=300)[1]
    assert process.returncode == 128 + signal.SIGINT, error
    stopped_at = read_checkpoint(second)[PROGRESS_KEY]["batches_seen"]
    assert stopped_at < 120
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "two, seed 1: finished before\n" in done.stderr
    shown = [line.split("|")[1:3] for line in done.stdout.splitlines()[-2:]]
    assert [list(map(str.strip, cells)) for cells in shown] == [["two", "2"], ["three", "2"]]
    rows = json.loads(Path("runs/compare.json").read_text())["rows"]
    assert [row["images_seen"] for row in rows] == [960] * 4


@pytest.mark.parametrize(
    ("number", "count"), [(2, True), (200.0, True), (1.0, False), (0.5, False)]
)
def test_batches_are_counted_and_no_share_of_an_epoch(number, count):
    # In a long-lived process Lightning's union of types can make a float of an integer.
    assert module._is_count(number) is count


def test_without_the_game_nothing_else_differs():
    # The sweep writes the small hybrid's details out once more, and these may not drift apart.
    file = module.read_sweep(Path("experiments/sweeps/cifar10_small_hybrid.yaml"))
    chosen = {name: file.variants[name] for name in ("gan", "alpha_0")}
    file.variants = chosen
    gan, without = (run.config for run in module.runs_of(file, [1]))
    details = without["model"]["init_args"]["details"]["init_args"]
    assert details["adversarial_weight"] == 0.0
    details["adversarial_weight"] = 1.0
    assert difference_but_seed(gan, without) is None
