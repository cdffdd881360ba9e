"""The command measures checkpoints on the same images, and refuses what has no details to measure."""

import json

import pytest
import yaml

from tests.checkpoints import data, score_model, sgm, wavediff, written, wsgm
from wavelight.commands.details import details
from wavelight.metrics import FrechetWaveletDistance
from wavelight.systems.base import CONFIG_KEY
from wavelight.weights import read_checkpoint, write_checkpoint


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def checkpoint(folder, name, model, **changes):
    path = folder / name / "checkpoints" / "last.ckpt"
    return written(path, model, data(folder) | changes)


def of_other_data(run, name, **changes):
    """Write the checkpoint again, as if it had been trained on other data."""
    told = read_checkpoint(run)
    config = yaml.safe_load(told[CONFIG_KEY])
    config["data"] |= changes
    path = run.parents[2] / name / "checkpoints" / "last.ckpt"
    write_checkpoint(path, told | {CONFIG_KEY: yaml.safe_dump(config)})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(folder):
    return checkpoint(folder, "run", wsgm())


def cells(told):
    """Return the rows of both tables."""
    first, second = (part for part in told.split("\n\n") if part.startswith("|"))
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
        for table in (first, second)
    ]


def test_both_tables_and_a_file(folder, run):
    told = details(
        [run],
        images=12,
        bands=6,
        samples=2,
        metrics=[FrechetWaveletDistance(4)],
        batch_size=5,
        device="cpu",
        out=folder / "out" / "details.json",
    )
    found = json.loads((folder / "out" / "details.json").read_text())
    first, second = cells(told)
    true = ["nothing", "LL of level 1 (8x8)", "images"]
    assert [row["true"] for row in found["exposure"]] == [row[1] for row in first] == true
    values = [row["values"] for row in found["exposure"]]
    assert set(values[0]) == {"fwd", "fwd_coarse", "fwd_details"}
    # With true coarse bands those are as far off as those of held-out images, but for clamping.
    assert values[1]["fwd_coarse"] < values[0]["fwd_coarse"]
    assert [row[2] for row in second] == ["all", "LH", "HL", "HH"]
    assert f"{found['diversity'][0]['spread']:.3f}" == second[0][3]


@pytest.mark.slow
def test_checkpoints_are_measured_on_the_same_images(folder, run):
    other = checkpoint(folder, "other", wsgm())
    options = {"images": 12, "bands": 6, "samples": 2, "device": "cpu"}
    first, second = cells(details([run, other], plot=folder / "out" / "details.png", **options))
    # Equal weights give equal numbers.
    for rows in (first, second):
        own, others = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        assert [row[1:] for row in own] == [row[1:] for row in others]
        assert {row[0] for row in own} == {"run"}
        assert {row[0] for row in others} == {"other"}
    assert (folder / "out" / "details.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_fields_are_measured_by_their_own_distances(folder):
    model = wsgm()
    model["init_args"] |= {
        "coarse": score_model(),
        "details": [score_model()],
        "channels": 1,
        "bounded": False,
    }
    fields = {"class_path": "data_modules.GaussianFields", "init_args": {"images": 64, "eta": 1.0}}
    path = checkpoint(folder, "fields", model, source=fields, flip=False)
    plot = folder / "out" / "fields.png"
    told = details([path], bands=6, samples=2, device="cpu", plot=plot)
    assert "fwd_coarse |" not in told
    first, second = cells(told)
    assert (len(first), len(second)) == (3, 4)
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("model", [sgm, wavediff])
def test_a_system_without_a_pyramid_is_refused(folder, model):
    path = checkpoint(folder, model.__name__, model())
    with pytest.raises(ValueError, match=r"only a pyramid .* holds a (SGM|WaveDiff)"):
        details([path])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 1}, "samples must be at least 2, got 1"),
        ({"images": 17}, "images must be at most the 16 images of the held-out split, got 17"),
        ({"bands": 17}, "bands must be at most the 16 images of the held-out split, got 17"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_values_that_make_no_sense_are_refused(run, options, message):
    with pytest.raises(ValueError, match=message):
        details([run], **options)


def test_data_without_held_out_images_are_refused(run):
    with pytest.raises(
        ValueError,
        match=r"the held-out split must have at least 2 images .*, got 0: train with --data\.held_out",
    ):
        details([of_other_data(run, "none", held_out=0)])


def test_checkpoints_of_different_data_are_refused(run):
    with pytest.raises(ValueError, match=r"trained on different data: data\.held_out"):
        details([run, of_other_data(run, "fewer", held_out=8)])
