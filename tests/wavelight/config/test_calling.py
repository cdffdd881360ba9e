"""A command's list of files is typed as words, as globs, or in brackets."""

import json
from pathlib import Path

import pytest

from wavelight.config.calling import _gathered, call


@pytest.fixture(autouse=True)
def checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b", "a", "c"):
        Path(f"{name}.ckpt").touch()


def compare(checkpoints: list[Path], images: int = 3):
    """Take a list alone."""


def join(checkpoints: list[Path], out: Path, force: bool = False):
    """Take the file to write as an option."""


def export(checkpoint: Path, out: Path):
    """Take no list."""


def gathered(function, *words):
    first, *rest = _gathered(function, list(words))
    return json.loads(first), rest


def test_words_become_a_list_in_their_order():
    assert gathered(compare, "b.ckpt", "a.ckpt", "--images", "4") == (
        ["b.ckpt", "a.ckpt"],
        ["--images", "4"],
    )
    assert gathered(compare, "b.ckpt") == (["b.ckpt"], [])


def test_the_file_to_write_is_an_option():
    assert gathered(join, "b.ckpt", "a.ckpt", "--out", "whole.ckpt", "--force", "true") == (
        ["b.ckpt", "a.ckpt"],
        ["--out", "whole.ckpt", "--force", "true"],
    )


def test_words_may_stand_behind_options():
    assert gathered(compare, "--images", "4", "b.ckpt", "--images=5", "a.ckpt") == (
        ["b.ckpt", "a.ckpt"],
        ["--images", "4", "--images=5"],
    )


def test_a_glob_is_the_files_that_it_fits_by_name():
    assert gathered(compare, "*.ckpt") == (["a.ckpt", "b.ckpt", "c.ckpt"], [])
    assert gathered(join, "c.ckpt", "[!c].ckpt", "--out=whole.ckpt") == (
        ["c.ckpt", "a.ckpt", "b.ckpt"],
        ["--out=whole.ckpt"],
    )


def test_what_fits_no_file_stays_for_the_command_to_name():
    assert gathered(compare, "gone-*.ckpt", "a.ckpt") == (["gone-*.ckpt", "a.ckpt"], [])


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (compare, ["[a.ckpt,b.ckpt]", "--images", "4"]),
        (join, ["[a.ckpt,b.ckpt]", "--out", "whole.ckpt"]),
        (compare, ["--help"]),
        (compare, []),
        (export, ["a.ckpt", "--out", "b.safetensors"]),
    ],
)
def test_other_words_stay_as_they_are(function, words):
    assert _gathered(function, words) == words


def test_names_may_hold_any_sign():
    name = 'it\'s "one", [two].ckpt'
    assert gathered(compare, "a.ckpt", name)[0] == ["a.ckpt", name]


def written(path: Path, npz: bool = False, ema: bool = True, images: int = 3):
    """Take options that are true or false."""
    return path, npz, ema, images


@pytest.mark.parametrize(
    ("words", "npz"),
    [
        (["a.ckpt"], False),
        (["a.ckpt", "--npz"], True),
        (["--npz", "a.ckpt"], True),
        (["--npz", "--images", "3", "a.ckpt"], True),
        (["--npz", "true", "a.ckpt"], True),
        (["--npz", "False", "a.ckpt"], False),
        (["--npz=false", "a.ckpt"], False),
    ],
)
def test_what_is_false_by_itself_is_true_where_it_is_named(words, npz):
    assert call("written", written, words) == (Path("a.ckpt"), npz, True, 3)


def test_what_is_true_by_itself_needs_its_value():
    assert call("written", written, ["a.ckpt", "--ema", "false"])[2] is False
    with pytest.raises(SystemExit):
        call("written", written, ["a.ckpt", "--ema"])
