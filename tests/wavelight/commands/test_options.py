"""An option that several commands have is the same in all of them."""

from collections import defaultdict
from importlib import import_module
from inspect import signature

import pytest
from docstring_parser import parse

from wavelight.commands import COMMANDS
from wavelight.config.calling import _words

FUNCTIONS = {
    name: getattr(import_module(each.module), each.function)
    for name, each in COMMANDS.items()
    if each.function
}


@pytest.mark.parametrize("option", ["device", "ema"])
def test_an_option_has_one_help_and_one_default(option):
    found = defaultdict(list)
    for name, function in FUNCTIONS.items():
        helps = {each.arg_name: each.description for each in parse(function.__doc__).params}
        if option in helps:
            default = signature(function).parameters[option].default
            found[helps[option].replace("\n", " "), default].append(name)
    assert len(found) == 1
    assert len(next(iter(found.values()))) > 3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_words_are_read_and_options_are_written(name):
    words = {each.name for each in _words(FUNCTIONS[name])}
    assert words.isdisjoint({"out", "plot", "images", "seed", "image_size", "batch_size"})


def test_every_seed_is_0():
    seeds = [signature(each).parameters.get("seed") for each in FUNCTIONS.values()]
    assert {each.default for each in seeds if each is not None} == {0}
