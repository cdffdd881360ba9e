"""The command that measures the bands of a data set."""

import json
import re
import subprocess
import sys

import pytest
from PIL import Image

from data_modules import Scenes, ShardStream
from data_modules.prepare import prepare
from tests.places import ROOT
from tests.wandb_files import records
from wavelight.__main__ import main
from wavelight.commands import analyze as command
from wavelight.evaluation.bands import images as analyze

FIELDS = [
    "--source=data_modules.GaussianFields",
    "--source.images=300",
    "--source.eta=1",
    "--image_size=8",
    "--levels=1",
]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "_REPLICATES", 10)
    monkeypatch.chdir(tmp_path)


def test_the_command_prints_tables_and_writes_all_numbers(tmp_path, capsys):
    out = tmp_path / "new" / "analysis.json"
    main(["analyze", *FIELDS, "--images", "250", "--out", str(out)])
    text = capsys.readouterr().out
    assert "250 images of 8x8, channels 1, wavelet haar" in text
    assert len(re.findall(r"^\| +[01] \|", text, re.MULTILINE)) == 2 + 2 + 6
    assert "- excess kurtosis, scaled: " in text
    found = json.loads(out.read_text())
    assert found["conditions"]["images"] == 250
    pixels, level = found["levels"]
    assert (pixels["side"], level["side"], level["dimension"]) == (8, 4, 16)
    assert pixels["details"] == {}
    assert pixels["covariance"] is None  # 250 images, 64 dimensions
    assert level["covariance"]["log10_condition"] > 0
    interval = level["details"]["scaled"]["gini"]
    assert interval["low"] <= interval["value"] <= interval["high"]
    assert abs(interval["value"] - 0.414) < 0.02
    assert set(level["differences"]) == {"linear", "scaled"}


def test_all_images_are_measured_if_there_are_fewer_than_asked_for(capsys):
    main(["analyze", *FIELDS])
    assert "300 images" in capsys.readouterr().out


def test_a_stream_gives_the_first_images_that_come(tmp_path):
    prepare(Scenes(images=90), tmp_path / "shards", 8, shard_images=45, workers=0)
    stream = ShardStream(str(tmp_path / "shards" / "train-{000000..000001}.tar"))
    assert analyze.read_images(stream, 8, 70).shape == (70, 3, 8, 8)


def test_the_figure_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "new" / "analysis.png"
    main(["analyze", *FIELDS, "--wavelet", "db2", "--plot", str(plot)])
    assert Image.open(plot).size == (2250, 1050)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--image_size=12", "--levels=3"],
            "image_size must be divisible by 2[*][*]levels = 8, got 12",
        ),
        (["--levels=0"], "levels must be at least 1, got 0"),
        (["--levels=-1"], "levels must be at least 1, got -1"),
        (["--levels=2"], "levels = 2 leaves an LL band of side 2, .* at least 4: lower levels"),
        (["--images=0"], "images must be at least 1, got 0"),
        (["--images=30"], "images must be at least 50 for 1 levels, got 30"),
        (["--wavelet=bior4.4"], "wavelet must be orthogonal .*, got 'bior4.4'"),
        (
            ["--wavelet=db8"],
            "'db8' has 16 taps, more than the side of 8 that level 1 splits: lower levels",
        ),
        (["--wavelet=dove"], "there is no wavelet 'dove'"),
        (["--source.eta=-1"], "eta must not be negative, got -1"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message, capsys):
    with pytest.raises(SystemExit):
        main(["analyze", *FIELDS, *options])
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert len(said.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_source_is_named_without_its_module(tmp_path):
    # In a process that has not imported it.
    words = ["--source", "ImageZip", "--source.path", str(tmp_path / "none.zip")]
    command = [sys.executable, "-m", "wavelight", "analyze", *words, "--image_size", "8"]
    found = subprocess.run([*command, "--levels", "1"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 2
    assert "there is no" in found.stderr
    assert "none.zip" in found.stderr


def test_measures_and_figure_go_to_wandb(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("WANDB_MODE", "offline")
    main(["analyze", *FIELDS, "--plot", "analysis.png", "--wandb_project", "bands"])
    import wandb

    # A finished run may still be on its way to the disk.
    wandb.teardown()
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert list((run / "files" / "media").rglob("*.png"))
    (log,) = run.glob("*.wandb")
    content = b"".join(records(log.read_bytes()))
    assert b"details/scaled/kurtosis" in content
    assert b"LL/spectrum/log10_condition" in content
