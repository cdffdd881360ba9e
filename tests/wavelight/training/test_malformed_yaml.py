"""Malformed configurations end in one sentence, before anything is built: 500 of them, one after the other."""

import re

import pytest

from tests.malformed_yaml import malformed
from tests.places import TINY
from wavelight.__main__ import main
from wavelight.training.cli import CLI

NUMBERS = range(500)
A_TEST = 25


@pytest.mark.slow
@pytest.mark.parametrize("first", NUMBERS[::A_TEST])
def test_malformed_configurations_are_read_or_end_in_a_sentence(
    tmp_path, monkeypatch, capsys, first
):
    monkeypatch.setattr("sys.argv", ["wavelight"])
    monkeypatch.setattr(CLI, "run", lambda cli: None)
    for number in range(first, first + A_TEST):
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(malformed(number, TINY.read_text()))
        code, said = 0, ""
        try:
            main(
                ["fit", "--config", str(path), "--trainer.default_root_dir", str(tmp_path / "run")]
            )
        except SystemExit as stopped:
            code = stopped.code
        said = capsys.readouterr().err
        sentences = re.findall("^wavelight: (.*)$", said, flags=re.MULTILINE)
        assert "Traceback" not in said, number
        assert (code, len(sentences)) in [(0, 0), (2, 1)], (number, said)
        assert all(10 < len(sentence) < 1100 for sentence in sentences), (number, said)
        assert not (tmp_path / "run").exists(), number


@pytest.mark.parametrize("value", ["[]", ".nan", "5", "[[]]", "!!binary AP8="])
@pytest.mark.parametrize("section", ["trainer", "ema", "last"])
def test_sections_hold_options(tmp_path, capsys, section, value):
    path = tmp_path / "own.yaml"
    path.write_text(f"{section}: {value}\n")
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--config", str(TINY), "--config", str(path)])
    assert stopped.value.code == 2
    assert f"wavelight: {section} must hold options by name, got" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--config"], ["--config", "no.yaml"], ["--config=."]])
def test_a_configuration_is_a_file(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *words])
    assert stopped.value.code == 2
    assert "wavelight: --config must name a YAML file, got" in capsys.readouterr().err


def test_a_value_from_a_file_has_bounds(tmp_path, capsys):
    path = tmp_path / "details.yaml"
    path.write_text("class_path: &a [*a]\n")
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "--config", str(TINY), f"--model.init_args.scheduler={path}"])
    assert stopped.value.code == 2
    assert "details.yaml must be YAML: it has more than 64 levels" in capsys.readouterr().err
