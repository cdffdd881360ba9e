"""The papers' tables are as they are printed."""

import tomllib

import pytest

from tests.places import ROOT
from wavelight.config.experiments import shipped_experiments
from wavelight.evaluation.results.published import published_tables, single_image_times


def row(title, system):
    (table,) = (table for table in published_tables() if table.title == title)
    (found,) = (row for row in table.rows if row.system == system)
    return found


def test_every_row_is_there():
    assert {table.title: len(table.rows) for table in published_tables()} == {
        "CIFAR-10": 17,
        "STL-10": 5,
        "CelebA-HQ 256": 8,
        "CelebA-HQ 512": 2,
        "CelebA-HQ 1024": 1,
        "LSUN Church": 7,
        "Ablation, CelebA-HQ 256, 500 epochs": 4,
        "CelebA-HQ 128": 2,
    }
    assert len(single_image_times()) == 6


@pytest.mark.parametrize(
    ("title", "system", "fid", "recall", "nfe", "seconds"),
    [
        ("CIFAR-10", "DDGAN", 3.75, 0.57, 4, 0.21),
        ("CIFAR-10", "Score SDE (VE)", 2.20, 0.59, 2000, 423.2),
        ("CIFAR-10", "NCSN", 25.3, None, 1000, 107.9),
        ("STL-10", "StyleGAN2 without ADA", 11.70, 0.44, None, None),
        ("CelebA-HQ 256", "WaveDiff + wavelet generator", 5.94, 0.37, None, 0.79),
        ("CelebA-HQ 512", "DDGAN", 8.43, 0.33, None, 1.49),
        ("CelebA-HQ 1024", "WaveDiff + wavelet generator", 5.98, 0.39, None, 0.59),
        ("LSUN Church", "DDGAN", 5.25, None, None, 3.42),
    ],
)
def test_numbers_and_blanks_are_the_sources(title, system, fid, recall, nfe, seconds):
    found = row(title, system)
    assert (found.fid, found.recall, found.nfe, found.seconds) == (fid, recall, nfe, seconds)


def test_an_asterisk_is_kept():
    assert "0.30*" in row("CIFAR-10", "DDGAN").note


def test_every_table_has_its_source():
    assert all(table.source and table.timed for table in published_tables())


def test_rows_name_experiments_that_ship():
    rows = [*single_image_times(), *(row for table in published_tables() for row in table.rows)]
    named = {row.experiment for row in rows if row.experiment}
    assert named <= shipped_experiments().keys()
    assert len(named) == 15


def test_the_file_ships():
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "*.yaml" in packaged["package-data"]["wavelight.evaluation.results"]


@pytest.mark.parametrize(
    ("dataset", "resolution", "titles"),
    [
        ("cifar10", 32, ["CIFAR-10"]),
        ("CIFAR-10", 32, ["CIFAR-10"]),
        ("celeba256", 256, ["CelebA-HQ 256", "Ablation, CelebA-HQ 256, 500 epochs"]),
        ("celeba-hq", 512, ["CelebA-HQ 512"]),
        ("church", 256, ["LSUN Church"]),
        # Other images than the paper's.
        ("cifar10", 16, []),
        ("cifar10-quarter", 32, []),
        ("cifar100", 32, []),
    ],
)
def test_a_table_is_of_its_data_set_alone(dataset, resolution, titles):
    found = [table.title for table in published_tables() if table.is_of(dataset, resolution)]
    assert found == titles
