"""Sampling is timed as papers do, by one command for checkpoints and experiments alike."""

import json
import shutil

import pytest
import torch
import yaml

from tests.places import TINY
from tests.tiny import tiny_system
from wavelight.__main__ import main
from wavelight.checkpoints.loading import system_from_config
from wavelight.evaluation.published_times import published_batch
from wavelight.evaluation.timing import Precision, Timing, calculating, measure_timing
from wavelight.evaluation.timing_report import report_timing
from wavelight.systems import WaveDiff
from wavelight.systems.base import CONFIG_KEY
from wavelight.systems.cost import NetworkCost

QUICK = ["--warm_ups", "1", "--repetitions", "2", "--device", "cpu", "--threads", "1"]


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of an untrained system."""
    config = yaml.safe_load(TINY.read_text())
    config["model"]["init_args"] |= {"image_size": config["data"]["image_size"], "seed": 3}
    text = yaml.safe_dump(config)
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": system_from_config(text).state_dict(), CONFIG_KEY: text}, path)
    return path


def timing(system="celeba256", image_size=256, images=1, **changes):
    network = NetworkCost("models.0.generator", 31_485_452, 2, 56_609_425_408)
    values = {
        "batch_seconds": [0.1, 0.3],
        "peak_memory": 2_000_000,
        "deliveries": [0.5, 0.4],
        "replays": [0.9, 0.3],
        "networks": [network],
    }
    return Timing(system, image_size, images, **(values | changes))


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def tables(text):
    """Return the rows of each table, below its title, by the names of the columns."""
    found = {}
    for section in text.split("## ")[1:]:
        title, _, header, _, *rows = section.strip().splitlines()
        found[title] = [dict(zip(cells(header), cells(row), strict=True)) for row in rows if row]
    return found


def test_the_command_prints_both_tables_and_writes_all_numbers(checkpoint, tmp_path, capsys):
    out = tmp_path / "times.json"
    main(["time", str(checkpoint), "--batch_sizes", "[1,3]", "--out", str(out), *QUICK])
    printed = tables(capsys.readouterr().out)
    assert list(printed) == ["One image", "A batch"]
    for rows, images in zip(printed.values(), (1, 3), strict=True):
        (row,) = rows
        assert row["system"] == str(checkpoint)
        assert (row["pixels"], row["NFE"], row["batch"]) == ("16", "2", str(images))
        assert row["published s"] == ""
        assert float(row["GMACs"]) == pytest.approx(0.0049, rel=0.01)
        assert row["10^6 parameters"] == "0.2343"
        assert float(row["ms"].split(" ± ")[0]) > 0
    numbers = json.loads(out.read_text())
    assert numbers["conditions"]["repetitions"] == 2
    assert [len(row["batch_seconds"]) for row in numbers["timings"]] == [2, 2]
    assert numbers["timings"][1]["images_per_second"] == pytest.approx(
        3 / (sum(numbers["timings"][1]["batch_seconds"]) / 2)
    )
    assert numbers["timings"][0]["networks"][0]["name"] == "models.0.generator"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nowhere"],
            "there is no checkpoint or experiment 'nowhere': the experiments are celeba1024,",
        ),
        (["[demo,gone.ckpt]"], "there is no checkpoint or experiment 'gone.ckpt'"),
        (["[]"], "systems is empty: name at least one checkpoint or experiment"),
        (["demo", "--repetitions", "0"], "repetitions must be at least 1, got 0"),
        (["demo", "--warm_ups", "-1"], "warm_ups must be at least 0, got -1"),
        (["demo", "--batch_sizes", "[4,0]"], "batch_sizes must be at least 1, got 0"),
        (["demo", "--device", "abacus"], "device 'abacus' is not available on this machine"),
        (
            ["demo", "--device", "cpu", "--precision", "tf32"],
            "precision tf32 needs a CUDA device, got cpu",
        ),
    ],
)
def test_bad_input_is_one_sentence(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["time", *arguments])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_each_batch_is_generated_whole_after_the_warm_ups(monkeypatch):
    system = tiny_system()
    generated = []
    generate = WaveDiff.generate

    def watched(self, index, seed):
        if self is system:  # and not the copy whose cost is counted
            generated.append((len(index), seed))
        return generate(self, index, seed)

    monkeypatch.setattr(WaveDiff, "generate", watched)
    first, second = measure_timing(
        "tiny", system, [1, 2], warm_ups=3, repetitions=4, compiled=False
    )
    assert len(first.batch_seconds) == len(second.batch_seconds) == 4
    assert min(first.batch_seconds + first.replays + first.deliveries) > 0
    deliveries = len(first.deliveries)
    assert generated == [(1, 0)] * (3 + 4 + deliveries) + [(2, 0)] * (3 + 4 + deliveries)
    assert not system.training


def test_replays_evaluate_the_networks_as_often_as_a_batch_does():
    system = tiny_system(steps=3)
    shapes = []

    def note(_, inputs, output):
        if output.device.type != "meta":  # where the cost is counted
            shapes.append(output.shape)

    system.models[0].generator.register_forward_hook(note)
    (measured,) = measure_timing("tiny", system, [2], warm_ups=0, repetitions=1, compiled=False)
    # Each delivery has its replay, and there is one replay to warm up.
    assert len(shapes) == 3 * (1 + 2 * len(measured.deliveries) + 1)
    assert set(shapes) == {torch.Size([2, 12, 8, 8])}


def test_bfloat16_reaches_the_networks_alone():
    system = tiny_system().eval()
    seen = []
    system.models[0].generator.stem.register_forward_hook(
        lambda _, __, output: seen.append(output.dtype)
    )
    with calculating(Precision.bfloat16, torch.device("cpu")):
        images = system.generate(torch.arange(1), seed=0)
    assert set(seen) == {torch.bfloat16}
    assert images.dtype == torch.float32


def test_precision_ends_with_its_context():
    def settings():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = settings()
    for precision, inside in (("float32", ("highest", False)), ("tf32", ("high", True))):
        with calculating(Precision[precision], torch.device("cpu")):
            assert settings() == inside
    assert settings() == before


def test_numbers_are_those_of_the_repetitions():
    measured = timing(images=4)
    assert measured.seconds == pytest.approx(0.2)
    assert measured.deviation == pytest.approx(0.1)
    assert measured.beside_networks == pytest.approx(1 - 0.3 / 0.4)
    conditions = {
        "device": "a",
        "torch": "b",
        "precision": "c",
        "networks": "d",
        "threads": 1,
        "warm_ups": 2,
        "repetitions": 3,
    }
    ((row,),) = tables(report_timing(conditions, [measured])).values()
    assert (row["ms"], row["s"], row["images/s"]) == ("200.00 ± 100.00", "0.200", "20.00")
    assert (row["memory MB"], row["beside networks"], row["GMACs"]) == ("2", "25.0%", "56.61")


def test_published_times_stand_beside_the_published_batches():
    assert timing(images=1).published == 0.08
    assert timing(images=100).published == 0.79
    assert timing(images=25).published is None
    assert timing("celeba512", 512, 25).published == 0.59
    assert timing("cifar10_ddgan", 32, 1).published is None
    assert timing("runs/x.ckpt").published is None
    assert [published_batch(size) for size in (32, 256, 512, 1024)] == [100, 100, 25, 25]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="compiling needs a C++ compiler")
def test_compiled_networks_are_timed_at_every_batch_size(checkpoint, capsys):
    main(["time", str(checkpoint), "--batch_sizes", "[1,2]", "--compiled", "true", *QUICK])
    assert "compiled networks" in capsys.readouterr().out


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("compiled", ["false", "true"])
def test_a_gpu_is_timed_by_its_events(checkpoint, capsys, precision, compiled):
    options = ["--precision", precision.name, "--compiled", compiled, "--batch_sizes", "[1,2]"]
    main(["time", str(checkpoint), *options, "--warm_ups", "1", "--repetitions", "2"])
    (image,), (batch,) = tables(capsys.readouterr().out).values()
    for row in (image, batch):
        assert 0 < float(row["s"]) < 10
        assert 0 < float(row["memory MB"]) < 1000


def test_several_systems_are_rows_of_the_same_tables(checkpoint, capsys):
    both = f"[{checkpoint},{checkpoint}]"
    main(["time", both, "--batch_sizes", "[1]", *QUICK])
    ((first, second),) = tables(capsys.readouterr().out).values()
    assert first["system"] == second["system"] == str(checkpoint)
