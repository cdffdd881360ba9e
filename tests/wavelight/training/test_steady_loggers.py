"""A training goes on where loggers and pictures fail, with one warning, and says nothing twice."""

import csv
import errno
import os
import resource
import subprocess
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from lightning.pytorch.loggers import Logger

from tests.tiny import tiny_data, tiny_system, tiny_trainer
from wavelight.callbacks import SampleGrid
from wavelight.loggers import CSVLogger
from wavelight.support.faults import is_of_the_machine

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


class Failing(Logger):
    name = version = "failing"

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.calls = 0

    def log_metrics(self, metrics, step=None):
        self.calls += 1
        raise self.error

    def log_hyperparams(self, *args):
        raise self.error


def fitted(folder, *callbacks, logger=False):
    """Train for an epoch, and return the warnings of faults and the system."""
    trainer = tiny_trainer(folder, *callbacks, logger=logger, log_every_n_steps=1, max_epochs=1)
    system = tiny_system()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        trainer.fit(system, datamodule=tiny_data())
    said = [str(each.message) for each in warned if "goes on" in str(each.message)]
    return said, system


def test_a_logger_that_raises_is_warned_of_once(tmp_path):
    logger = Failing(NO_SPACE)
    said, system = fitted(tmp_path, logger=logger)
    assert logger.calls > 3
    assert system.batches_seen == 4
    assert len(said) == 1
    assert "logging by Failing" in said[0]
    assert "No space left on device" in said[0]


def test_a_fault_in_the_code_of_a_logger_is_seen(tmp_path):
    with pytest.raises(KeyError, match="a slip"):
        fitted(tmp_path, logger=Failing(KeyError("a slip")))


def test_pictures_that_cannot_be_written_stop_nothing(tmp_path, monkeypatch):
    def write(*args):
        raise NO_SPACE

    monkeypatch.setattr("wavelight.callbacks.sample_grid.write_png", write)
    said, system = fitted(tmp_path, SampleGrid(1))
    assert system.batches_seen == 4
    assert len(said) == 1
    assert "writing a sample grid" in said[0]


def test_a_fault_in_the_code_of_pictures_is_seen(tmp_path, monkeypatch):
    def write(*args):
        raise ValueError("a slip")

    monkeypatch.setattr("wavelight.callbacks.sample_grid.write_png", write)
    with pytest.raises(ValueError, match="a slip"):
        fitted(tmp_path, SampleGrid(1))


@contextmanager
def full_disk(path, more):
    """Let no file of this process grow beyond a size: the system writes what fits, and refuses the rest."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [
            {name: value for name, value in row.items() if value} for row in csv.DictReader(file)
        ]


def logged(logger, *steps, **values):
    for step in steps:
        logger.log_metrics({"loss": float(step), **values}, step)
    logger.save()


@pytest.mark.parametrize("values", [{}, {"fid": 3.0}], ids=["same columns", "another column"])
@pytest.mark.parametrize("more", [0, 3, 40])
def test_rows_wait_in_memory_until_the_disk_has_room(tmp_path, values, more):
    logger = CSVLogger(str(tmp_path))
    logged(logger, 1, 2)
    before = (tmp_path / "metrics.csv").read_bytes()
    for _ in range(2):
        with full_disk(tmp_path / "metrics.csv", more), pytest.raises(OSError, match="large"):
            logged(logger, *range(3, 30), **values)
        found = (tmp_path / "metrics.csv").read_bytes()
        assert rows(tmp_path)[:2] == [{"loss": "1.0", "step": "1"}, {"loss": "2.0", "step": "2"}]
        assert found == before or values
    logger.save()
    assert [row["step"] for row in rows(tmp_path)] == [
        str(step) for step in (1, 2, *range(3, 30), *range(3, 30))
    ]
    assert all(len(row) == 2 + len(values) for row in rows(tmp_path)[2:])


def test_a_new_column_leaves_the_rows_before_whole_whenever_it_fails(tmp_path, monkeypatch):
    logger = CSVLogger(str(tmp_path))
    logged(logger, 1, 2)

    class FullWriter(csv.DictWriter):
        def writerows(self, rows):
            raise NO_SPACE

    with monkeypatch.context() as patch:
        patch.setattr("wavelight.loggers.csv.DictWriter", FullWriter)
        with pytest.raises(OSError, match="No space"):
            logged(logger, 3, fid=2.0)
    assert len(rows(tmp_path)) == 2
    logger.save()
    assert rows(tmp_path)[2] == {"loss": "3.0", "step": "3", "fid": "2.0"}


def test_a_training_outlives_a_full_disk_of_its_logger(tmp_path, monkeypatch):
    def save(self):
        raise NO_SPACE

    monkeypatch.setattr("wavelight.loggers._AppendingWriter.save", save)
    said, system = fitted(tmp_path, logger=CSVLogger(str(tmp_path)))
    assert system.batches_seen == 4
    assert len(said) == 1
    assert "logging by CSVLogger" in said[0]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_training_outlives_a_file_system_that_is_full(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.decode().strip()}")
    try:
        logger = CSVLogger(str(small))
        logged(logger, 1, 2)
        filler = small / "filler"
        with filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)) == 4096 and small_has_room(small):
                pass
        said, system = fitted(tmp_path / "run", SampleGrid(1), logger=logger)
        assert system.batches_seen == 4
        assert [line for line in said if "CSVLogger" in line]
        assert rows(small) == [{"loss": "1.0", "step": "1"}, {"loss": "2.0", "step": "2"}]
        filler.unlink()
        logger.save()
        assert len(rows(small)) > 5
    finally:
        subprocess.run(["umount", str(small)], check=True)


def small_has_room(folder: Path) -> bool:
    return os.statvfs(folder).f_bavail > 0


def test_what_is_of_the_machine_is_said_by_its_kind():
    assert is_of_the_machine(NO_SPACE)
    assert not is_of_the_machine(ValueError())
