"""The commands: one file each, which reads options, calls and prints, and computes nothing.

A command that is not a method of the trainer is a plain function, whose docstring is its help; each is imported only
when it is called.
"""

from importlib import import_module
from typing import NamedTuple


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
        "predict": _of_trainer("sample images on all devices", True),
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
        "measure": _own(
            "measure",
            "measure a folder of images, of any model, against real ones or statistics",
            True,
        ),
        "dashboard": _own(
            "dashboard", "make a dashboard at W&B in which the runs of a project are compared"
        ),
        "report": _own("report", "write the results of runs as one page, beside the papers'"),
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
    # The help of all commands needs none of it.
    from wavelight.config.calling import call

    function = getattr(import_module(command.module), command.function)
    return call(name, function, arguments)


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
