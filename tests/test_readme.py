"""The README says where things are, and they are there."""

import re

from tests.places import ROOT

TEXT = (ROOT / "README.md").read_text()


def test_the_table_names_places_that_exist():
    table = TEXT.partition("## Where is…")[2].partition("\n## ")[0]
    places = [
        place
        for row in table.splitlines()
        if row.startswith("| ") and row.count("|") == 3
        for place in re.findall(r"`([^`]+)`", row.split("|")[2])
        if "<" not in place
    ]
    assert len(places) > 15
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_few_modules_lie_in_the_root():
    assert len(list((ROOT / "wavelight").glob("*.py"))) <= 8


def test_commands_name_experiments_that_ship():
    named = set(re.findall(r"experiments/[\w/]+\.yaml", TEXT))
    assert len(named) > 8
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
