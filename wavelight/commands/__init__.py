"""The commands: one file each, which reads options, calls and prints, and computes nothing.

A command that is not a method of the trainer is a plain function, whose docstring is its help; each is imported only
when it is called.
"""

import json
import re
from collections.abc import Callable
from glob import glob
from importlib import import_module
from inspect import Parameter, signature
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, get_origin

from wavelight.config.words import underscored
from wavelight.support.private_names import set_metavar

if TYPE_CHECKING:
    from argparse import HelpFormatter

    from jsonargparse import ArgumentParser

_ALWAYS_OPTIONS = {"out", "image_size"}
"""Required parameters that are options all the same: a command's words are what it reads."""


class Command(NamedTuple):
    """A word behind ``wavelight``, and where its function stands."""

    summary: str
    module: str
    function: str = ""
    """Empty for a method of the trainer."""

    keeps_memory: bool = True
    """Whether freed memory is kept for the next allocation; not in a training, which lives for days."""


def _of_trainer(summary: str, keeps_memory: bool = False) -> Command:
    return Command(summary, "wavelight.training.cli", keeps_memory=keeps_memory)


def _own(name: str, summary: str, keeps_memory: bool = False) -> Command:
    return Command(summary, f"wavelight.commands.{name}", name, keeps_memory)


GROUPS: dict[str, dict[str, Command]] = {
    "train": {
        "fit": _of_trainer("train a system, from the start or from a checkpoint"),
        "sweep": _own("sweep", "train variants of a system with several seeds, and compare them"),
        "train_features": _own(
            "train_features",
            "train a feature network on labelled images, for FeatureNetworkMetrics",
        ),
    },
    "sample": {
        "sample": _own("sample", "sample images from a checkpoint alone, on one device", True),
        "predict": _of_trainer("sample images on all devices; needs the configuration", True),
        "upscale": _own(
            "upscale", "double the sides of your own images with a WSGM or Hybrid", True
        ),
    },
    "files": {
        "prepare": Command(
            "turn a folder, zip or LMDB of images into shards for fast training",
            "data_modules.prepare",
            "prepare",
            False,
        ),
        "export": _own("export", "write a checkpoint's generator as safetensors"),
        "convert": _own(
            "convert", "write a checkpoint from published weights of WaveDiff or DDGAN"
        ),
        "join": _own("join", "join factors that were trained apart into one checkpoint"),
    },
    "measure": {
        "validate": _of_trainer(
            "measure a checkpoint as in training: metrics on val_images images"
        ),
        "test": _of_trainer("measure a checkpoint for a paper: metrics on test_images images"),
        "compare": _own(
            "compare", "measure systems on equal terms, quality against steps and MACs", True
        ),
        "details": _own(
            "details",
            "measure exposure bias and diversity of the details of a WSGM or Hybrid",
            True,
        ),
        "upscaling_quality": _own(
            "upscaling_quality",
            "measure PSNR, SSIM and fwd of upscaled images, beside bicubic",
            True,
        ),
        "time": _own("time", "measure sampling time by the papers' protocol, and MACs", True),
        "benchmark": _own("benchmark", "measure the speed of networks and training", True),
    },
    "theory": {
        "steps": _own("steps", "the steps that SGM and WSGM need on Gaussian fields, exactly"),
        "scaling": _own("scaling", "the cost of WSGM and SGM against image size", True),
        "phi4": _own(
            "phi4", "the distance of SGM and WSGM to the critical phi^4 field, against steps", True
        ),
        "simulate": Command(
            "simulate the critical phi^4 field, as data for Phi4",
            "data_modules.phi4",
            "simulate",
            False,
        ),
        "analyze": _own(
            "analyze", "measure how white, Gaussian and sparse the bands of a data set are"
        ),
    },
}

COMMANDS = {name: command for group in GROUPS.values() for name, command in group.items()}


def run(name: str, arguments: list[str]) -> object:
    """Run a command, and return what is to be printed, if anything.

    Args:
        name: One of :data:`COMMANDS`.
        arguments: The words of the command line behind it.
    """
    command = COMMANDS[name]
    if not command.function:
        return import_module(command.module).run(name, arguments)
    return _call(name, command, arguments)


def _call(name: str, command: Command, arguments: list[str]) -> object:
    from jsonargparse import ArgumentParser

    from wavelight.support.errors import fail

    class Parser(ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
            hint = f"; `{self.prog} --help` lists the options" if " arguments" in message else ""
            fail(_with_dashes(message, function) + hint)

        def format_help(self, formatter: "HelpFormatter | None" = None) -> str:
            return re.sub(r"<class\s+'(\w+)'>", r"\1", super().format_help(formatter))

    function = getattr(import_module(command.module), command.function)
    if any(word.startswith(("--source", "--help", "-h")) for word in arguments):
        # So that a class can be named without its module, and the help lists them all.
        import_module("data_modules").import_all()
    parser = Parser(
        prog=f"wavelight {name}", description=(function.__doc__ or "").partition("\n\n")[0]
    )
    _add_arguments(parser, function)
    parsed = parser.parse_args(_gathered(function, underscored(arguments)))
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


def _add_arguments(parser: "ArgumentParser", function: Callable[..., object]) -> None:
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


def summary() -> str:
    """Return the help of all commands, group by group."""
    lines = []
    for group, commands in GROUPS.items():
        lines.append(f"\n{group}:")
        lines += [f"  {name:<17} {command.summary}" for name, command in commands.items()]
    return (
        "usage: wavelight COMMAND [options]\n\n"
        "Train, compare and extend wavelet generative models of images.\n"
        + "\n".join(lines)
        + "\n\n`wavelight COMMAND --help` lists a command's options. The first thing to try:\n"
        "  wavelight fit --config experiments/demo.yaml\n"
    )
