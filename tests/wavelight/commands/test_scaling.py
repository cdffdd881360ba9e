"""The command that measures how the cost of an image grows with its size."""

import json
import re

import pytest
from PIL import Image

from wavelight.__main__ import main
from wavelight.commands import scaling as command
from wavelight.evaluation import scaling, scaling_report
from wavelight.evaluation.scaling import Measurement, exponent, images_at_once, system_of_size
from wavelight.systems.cost import NetworkCost, cost
from wavelight.theory import System, steps_needed

SIZES = [32, 64, 128, 256, 512]
TINY = ["--sizes", "[4,8]", "--coarsest", "2", "--repetitions", "2", "--steps", "2"]

CONDITIONS = {
    "device": "cpu",
    "torch": "2",
    "threads": 1,
    "coarsest": 8,
    "width": 32,
    "eta": 2.0,
    "kl_per_dim": 1e-2,
    "steps": 4,
    "repetitions": 3,
}


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(scaling, "_PIXELS_AT_ONCE", 8**2)


def counted(system):
    return sum(network.macs for network in cost(system))


def rows_of(text):
    """Return the rows of each table, by the names of the columns."""
    tables = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and not cells[0].isdigit():
            tables.append((cells, []))
        elif line.startswith("| "):
            names, rows = tables[-1]
            rows.append(dict(zip(names, cells, strict=True)))
    return [rows for _, rows in tables]


@pytest.mark.parametrize("power", [0.5, 1.0, 1.37])
def test_a_power_law_has_its_exponent(power):
    pixels = [size**2 for size in SIZES]
    assert exponent(pixels, [3e-4 * each**power for each in pixels]) == pytest.approx(power)


def test_one_size_has_no_exponent():
    assert exponent([16], [1.0]) != exponent([16], [1.0])  # nan


@pytest.mark.parametrize("system", System)
def test_multiply_adds_grow_as_pixels(system):
    sizes = SIZES[::2]
    macs = [counted(system_of_size(system, size, 8, 32, steps=1)) for size in sizes]
    assert exponent([size**2 for size in sizes], macs) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("system", System)
def test_multiply_adds_are_in_proportion_to_steps(system):
    one, seven = (counted(system_of_size(system, 4, 2, 32, steps)) for steps in (1, 7))
    assert seven == 7 * one


def test_all_sizes_are_drawn_in_as_big_batches_and_one_image_at_least():
    assert {images_at_once(size) * size**2 for size in SIZES} == {512**2}
    assert images_at_once(1024) == 1


@pytest.mark.usefixtures("small_batches")
def test_the_command_measures_both_systems(tmp_path, capsys):
    out = tmp_path / "new" / "scaling.json"
    main(["scaling", *TINY, "--eta", "1", "--out", str(out)])
    text = capsys.readouterr().out
    same, equal = rows_of(text)

    assert [row["at once"] for row in same] == ["4", "1"]
    assert [row["WSGM NFE"] for row in same] == ["4", "6"]  # 2 steps for each of 2, 3 bands
    assert [row["SGM NFE"] for row in same] == ["2", "2"]
    sgm = [steps_needed("sgm", size, 1.0) for size in (4, 8)]
    wsgm = [steps_needed("wsgm", size, 1.0, wavelet="haar", levels=size // 4) for size in (4, 8)]
    assert [row["SGM steps"] for row in equal] == list(map(str, sgm))
    assert [row["WSGM steps"] for row in equal] == list(map(str, wsgm))
    assert float(equal[0]["SGM GMACs"]) == pytest.approx(
        float(same[0]["SGM GMACs"]) * sgm[0] / 2, rel=1e-3
    )
    assert "fewer than two sizes from 128" in text
    measurements = json.loads(out.read_text())["measurements"]
    assert [(row["system"], row["size"]) for row in measurements] == [
        ("wsgm", 4),
        ("wsgm", 8),
        ("sgm", 4),
        ("sgm", 8),
    ]
    assert all(
        len(row["batch_seconds"]) == 2 and min(row["batch_seconds"]) > 0 for row in measurements
    )


def measurement(system, size):
    network = NetworkCost("models.0.score", 100, 4, 1000 * size**2)
    return Measurement(
        system, size, 4, [network], 68, 2, batch_seconds=[4e-6 * size**2] * 2 + [1.0]
    )


def test_the_median_counts_and_the_steps_needed_are_in_proportion():
    row = measurement(System.SGM, 100)
    assert row.seconds == pytest.approx(0.02)
    assert row.seconds_needed == pytest.approx(0.02 * 68 / 4)
    assert row.macs_needed == 10_000_000 * 68 / 4


def test_times_are_fitted_from_128_pixels():
    rows = [measurement(system, size) for system in (System.WSGM, System.SGM) for size in SIZES]
    rows[0].batch_seconds[:] = [100.0] * 3  # of 32 pixels
    text = scaling_report.report_scaling(CONDITIONS, rows)
    fits = "WSGM 1.000 and SGM 1.000 (32 ... 512) of MACs; WSGM 1.000 and SGM 1.000 (128 ... 512)"
    assert text.count(fits) == 2


def test_the_curves_are_drawn(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    rows = [measurement(system, size) for system in System for size in SIZES]
    monkeypatch.setattr(command, "measure_scaling", lambda *_: rows)
    plot = tmp_path / "new" / "scaling.png"
    command.scaling(plot=plot)
    assert Image.open(plot).size == (1350, 600)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--sizes", "[16,48]"],
            "sizes must be coarsest = 8 pixels times a power of 2 above 1, got 48",
        ),
        (["--sizes", "[8,16]"], "coarsest = 8 pixels times a power of 2 above 1, got 8"),
        (["--sizes", "[16,20]"], "a power of 2 above 1, got 20"),
        (["--sizes", "[16]"], "sizes must name at least two image sizes to fit an exponent, got 1"),
        (["--coarsest", "0"], "coarsest must be at least 1, got 0"),
        (["--steps", "0"], "steps must be at least 1, got 0"),
        (["--repetitions", "0"], "repetitions must be at least 1, got 0"),
        (["--width", "132", "--sizes", "[16,32]"], "a multiple of 4 up to 128, or of 32"),
        (["--kl_per_dim", "-1"], "kl_per_dim must be positive, got -1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message, capsys, monkeypatch):
    monkeypatch.setattr(scaling, "_time", None)
    with pytest.raises(SystemExit):
        main(["scaling", *options])
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert len(said.strip().splitlines()) == 1


@pytest.mark.usefixtures("no_matplotlib")
def test_drawing_without_matplotlib_is_refused_before_work(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "measure_scaling", None)
    with pytest.raises(ValueError, match="pip install matplotlib"):
        command.scaling(plot=tmp_path / "scaling.png")
