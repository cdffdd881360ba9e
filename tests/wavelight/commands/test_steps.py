"""The command that prints and samples the steps needed."""

import pytest
from jsonargparse import ArgumentParser
from PIL import Image

from wavelight.commands.steps import steps


def test_the_table_has_the_golden_steps():
    lines = steps(sizes=[16], etas=[1, 2]).splitlines()
    assert "KL/d <= 0.01" in lines[0]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[-2:]] == [
        ["1", "16", "12.3", "2.46", "3.87", "42", "32", "1.31"],
        ["2", "16", "129", "7.59", "9.16", "124", "50", "2.48"],
    ]


def test_a_pyramid_of_one_band_has_no_details():
    line = steps(sizes=[4], etas=[1]).splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[3] == "-"
    assert cells[2] == cells[4]
    assert cells[5] == cells[6]


def test_the_command_line_reads_its_options():
    parser = ArgumentParser()
    parser.add_function_arguments(steps, as_positional=True)
    options = parser.instantiate(parser.parse_args(["--sizes", "[8]", "--etas", "[1.5]"]))
    assert steps(**options.as_dict()).splitlines()[-1].split()[1:4] == ["1.5", "|", "8"]


def test_the_curve_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "new" / "steps.png"
    steps(sizes=[4, 8], etas=[1.0], plot=plot)
    assert Image.open(plot).size == (900, 600)


@pytest.mark.usefixtures("no_matplotlib")
def test_drawing_without_matplotlib_says_what_to_install(tmp_path):
    with pytest.raises(ValueError, match="pip install matplotlib"):
        steps(sizes=[4], etas=[1.0], plot=tmp_path / "steps.png")
