import os

import pytest

from wavelight.config import bounded_yaml
from wavelight.config.bases import chain, content_of
from wavelight.config.bounded_yaml import load, read

BOUNDLESS = {
    "lists": "[" * 1200,
    "mappings": "{" * 1200,
    "dashes": "- " * 3000 + "x",
    "levels": "a: " + "[" * 65 + "]" * 65,
    "a list in itself": "a: &a [*a]",
    "a mapping in itself": "a: &a {b: *a}",
    "repetitions": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{f'*{chr(97 + i)},' * 9}]\n" for i in range(9)),
    "merged mappings": "a: &a {k: v}\n"
    + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{f'*{chr(97 + i)},' * 9}]}}\n" for i in range(9)
    ),
    "length": "a: " + "x" * 1_000_000,
}


@pytest.mark.parametrize("text", BOUNDLESS.values(), ids=BOUNDLESS)
def test_what_has_no_bounds_is_refused(tmp_path, text):
    path = tmp_path / "their.yaml"
    path.write_text(text)
    with pytest.raises(
        ValueError, match=r"^.*their.yaml must be YAML: it (has|stands for) more than"
    ):
        read(path)


def test_what_has_bounds_is_read(monkeypatch):
    monkeypatch.setattr(bounded_yaml, "_MOST_VALUES", 1000)
    deep = "[" * 60 + "]" * 60
    assert load(f"a: 1\nb: {deep}\n")["a"] == 1
    assert len(load("[" + "x," * 990 + "]")) == 990
    assert load("a: &a {x: 1}\nb: {<<: *a, y: 2}")["b"] == {"x": 1, "y": 2}


def test_faults_are_named_by_their_place(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("a: 1\nb: c: 2\n")
    with pytest.raises(ValueError, match="mapping values are not allowed here in line 2, column 5"):
        read(path)


@pytest.mark.parametrize(
    "text", ["\0", "2026-02-31", "9" * 5000, "!!bool x", "!!timestamp x", "!!int ''"]
)
def test_values_that_cannot_be_are_faults_of_the_file(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(f"a: {text}")
    with pytest.raises(ValueError, match=r"^.*own.yaml must be YAML: "):
        read(path)


def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ValueError, match="must be a file, got a named pipe"):
        read(tmp_path / "pipe.yaml")


def test_a_pipe_of_the_shell_is_read_once():
    reading, writing = os.pipe()
    os.write(writing, b"base: []\nmodel: x\n")
    os.close(writing)
    assert chain(bounded_yaml._DESCRIPTORS / str(reading)) == ["model: x\n"]
    os.close(reading)


def test_files_that_build_on_too_many_are_refused(tmp_path):
    (tmp_path / "0.yaml").write_text("seed_everything: 1\n")
    for level in range(1, 30):
        below = f"{level - 1}.yaml"
        (tmp_path / f"{level}.yaml").write_text(f"base: [{below}, {below}]\n")
    with pytest.raises(ValueError, match=r"base of .*29.yaml must lead to at most 100 files"):
        chain(tmp_path / "29.yaml")


@pytest.mark.parametrize(
    ("text", "given"), [("", "nothing"), ("- a", "a list"), ("words", "a str")]
)
def test_a_file_without_options_is_refused(tmp_path, text, given):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"own.yaml must hold options by name, .*, got {given}$"):
        chain(path)


@pytest.mark.parametrize("name", ["own.yaml", "own.conf", "own"])
def test_a_file_may_have_any_name(tmp_path, name):
    path = tmp_path / name
    path.write_text("seed_everything: 4\n")
    assert [content_of(part) for part in chain(path)] == [{"seed_everything": 4}]
    (tmp_path / "more").write_text(f"base: {name}\nema:\n  decay: 0.5\n")
    found = [content_of(part) for part in chain(tmp_path / "more")]
    assert found == [{"seed_everything": 4}, {"ema": {"decay": 0.5}}]
