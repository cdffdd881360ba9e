import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
import torch

from data_modules import statistics
from wavelight.support.files import draft_of, remove_drafts, write_json, write_text
from wavelight.wavelets import BandStatistics, LevelStatistics

ALIKE = 20_000
TIMES = 200

# Others would import PyTorch anew, which takes longer than the test.
FORKED = partial(ProcessPoolExecutor, mp_context=get_context("fork"))


def write_letters(path, letter):
    for _ in range(TIMES):
        write_text(path, letter * ALIKE)


def band_statistics(number):
    bands = torch.full((2, 4, 500), float(number))
    return [LevelStatistics(*(BandStatistics(*band) for band in bands))]


def save_statistics(path, number):
    for _ in range(TIMES):
        statistics.save(path, band_statistics(number))


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_folders_are_made_and_no_draft_is_left(tmp_path):
    path = tmp_path / "new" / "numbers.json"
    write_json(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert names(path.parent) == ["numbers.json"]


@pytest.mark.parametrize("begun", [True, False])
def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path, begun):
    path = tmp_path / "text.txt"
    write_text(path, "old")

    def fail():
        with draft_of(path) as draft:
            if begun:
                draft.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["text.txt"]


def test_a_draft_is_hidden_beside_its_file_and_found_by_no_suffix(tmp_path):
    path = tmp_path / "image.npy"
    with draft_of(path) as first, draft_of(path) as second:
        for draft in (first, second):
            with draft.open("wb") as file:
                np.save(file, np.zeros(3))
        assert first != second
        assert {draft.parent for draft in (first, second)} == {tmp_path}
        assert not list(tmp_path.glob("*.npy"))
        assert all(name.startswith(".") for name in names(tmp_path))
    assert names(tmp_path) == ["image.npy"]


def test_content_is_on_disk_before_the_name(tmp_path, monkeypatch):
    path, flushed = tmp_path / "text.txt", []
    monkeypatch.setattr("os.fsync", lambda _: flushed.append(path.exists()))
    write_text(path, "new")
    assert flushed == [False]


def test_what_killed_processes_left_can_be_removed(tmp_path):
    for name in (".image.png.17.0f3a.part", "image.png", ".hidden", "mine.part"):
        (tmp_path / name).touch()
    remove_drafts(tmp_path)
    assert set(names(tmp_path)) == {"image.png", ".hidden", "mine.part"}


def read_while_two_write(pool, write, path, contents, read):
    """Let two processes or threads write a file, and return whatever was read meanwhile."""
    seen = set()
    with pool(2) as workers:
        writers = [workers.submit(write, path, content) for content in contents]
        while not all(writer.done() for writer in writers):
            seen.add(read())
        for writer in writers:
            writer.result()
    return seen


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, FORKED], ids=["threads", "processes"])
def test_writers_of_one_file_never_fail_and_it_is_always_whole(tmp_path, pool):
    path = tmp_path / "text.txt"
    write_text(path, "a" * ALIKE)
    seen = read_while_two_write(pool, write_letters, path, "ab", path.read_text)
    assert seen <= {"a" * ALIKE, "b" * ALIKE}
    assert names(tmp_path) == ["text.txt"]


def test_processes_that_save_the_same_statistics_never_fail(tmp_path):
    path = tmp_path / "bands.safetensors"
    statistics.save(path, band_statistics(0))

    def read():
        levels = statistics.load(path)
        (number,) = levels[0].details.std.unique().tolist()
        return number

    seen = read_while_two_write(FORKED, save_statistics, path, (1, 2), read)
    assert seen <= {0, 1, 2}
    assert names(tmp_path) == ["bands.safetensors"]
