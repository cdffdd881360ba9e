"""Calls of plain functions by words of a command line: which parameters are words, which options, and their help."""

import json
import re
from argparse import HelpFormatter
from collections.abc import Callable
from glob import glob
from importlib import import_module
from inspect import Parameter, signature
from itertools import islice
from typing import get_origin

from jsonargparse import ArgumentParser

from wavelight.config.words import underscored, with_truths
from wavelight.support.errors import fail
from wavelight.support.private_names import set_metavar

_ALWAYS_OPTIONS = {"out", "image_size"}
"""Required parameters that are options all the same: a command's words are what it reads."""


def call(name: str, function: Callable[..., object], arguments: list[str]) -> object:
    """Call a function with the values that words of a command line give its parameters.

    Bad input ends the process with one sentence and exit code 2.

    Args:
        name: The command's name, for its help.
        function: Its docstring is the help. Parameters without a default are words, all others options.
        arguments: The words behind the name.
    """

    class Parser(ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
            hint = f"; `{self.prog} --help` lists the options" if " arguments" in message else ""
            fail(_with_dashes(message, function) + hint)

        def format_help(self, formatter: HelpFormatter | None = None) -> str:
            return re.sub(r"<class\s+'(\w+)'>", r"\1", super().format_help(formatter))

    if any(word.startswith(("--source", "--help", "-h")) for word in arguments):
        # So that a class can be named without its module, and the help lists them all.
        import_module("data_modules").import_all()
    parser = Parser(
        prog=f"wavelight {name}", description=(function.__doc__ or "").partition("\n\n")[0]
    )
    _add_arguments(parser, function)
    words = with_truths(underscored(arguments), _false_options(function))
    parsed = parser.parse_args(_gathered(function, words))
    try:
        # Classes that an option names may refuse their own values.
        return function(**parser.instantiate(parsed).as_dict())
    except (ValueError, OSError) as error:
        fail(str(error), error)


def _with_dashes(message: str, function: Callable[..., object]) -> str:
    """Write options that are missing as they are typed."""
    said, missing, names = message.partition("arguments are required: ")
    words = {each.name for each in _words(function)}
    typed = [name if name in words else f"--{name}" for name in names.split(", ") if name]
    return said + missing + ", ".join(typed)


def _add_arguments(parser: ArgumentParser, function: Callable[..., object]) -> None:
    """Add a function's parameters: what it reads as words, all else as options."""
    words = [each.name for each in _words(function)]
    options = [name for name in signature(function).parameters if name not in words]
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip={*options})
    parser.add_function_arguments(function, as_group=False, skip={*words})
    if _takes_list(function):
        set_metavar(parser, words[0], f"{words[0].removesuffix('s').upper()} ...")


def _words(function: Callable[..., object]) -> list[Parameter]:
    """Return the parameters that are words without an option's name."""
    return [
        each
        for each in signature(function).parameters.values()
        if each.default is Parameter.empty
        and each.kind is not Parameter.KEYWORD_ONLY
        and each.name not in _ALWAYS_OPTIONS
    ]


def _takes_list(function: Callable[..., object]) -> bool:
    words = _words(function)
    return len(words) == 1 and get_origin(words[0].annotation) is list


def _gathered(function: Callable[..., object], words: list[str]) -> list[str]:
    """Make one word of those that name the entries of a list: ``compare a.ckpt b.ckpt``."""
    plain, options = _sorted(words)
    if not _takes_list(function) or not plain or plain[0].startswith("["):
        return words
    entries = [path for word in plain for path in (sorted(glob(word)) or [word])]
    return [json.dumps(entries), *options]


def _false_options(function: Callable[..., object]) -> set[str]:
    """Return the options that are false by themselves, such as ``--npz``."""
    parameters = signature(function).parameters.values()
    return {f"--{each.name}" for each in parameters if each.default is False}


def _sorted(words: list[str]) -> tuple[list[str], list[str]]:
    """Part words from options, each of which has its value in itself or in the next word."""
    plain: list[str] = []
    options: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            plain.append(word)
            continue
        options.append(word)
        if word.startswith("--") and "=" not in word:
            options += islice(rest, 1)
    return plain, options
