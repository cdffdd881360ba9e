"""The command line, ``python -m wavelight COMMAND``; each command is imported only when it is called."""

import sys
from importlib import import_module

from wavelight.memory import keep_memory

_TRAINER_COMMANDS = {
    "fit": "train a system, from the start or from a checkpoint",
    "validate": "measure a checkpoint as training does",
    "test": "measure a checkpoint as papers do",
    "predict": "draw images from a checkpoint into a folder, on all devices",
}

# Commands that are no method of the trainer are plain functions, whose docstrings are their help.
_FUNCTIONS = {
    "sample": (
        "wavelight.drawing",
        "sample",
        "draw images from a checkpoint; needs no configuration",
    ),
    "upscale": (
        "wavelight.upscaling",
        "upscale",
        "double the sides of your own images by the details of a WSGM or Hybrid",
    ),
    "upscaling_quality": (
        "wavelight.upscaling_quality",
        "upscaling_quality",
        "measure upscaled images of known data beside bicubic ones",
    ),
    "export": ("wavelight.checkpoints", "export", "write a checkpoint's generator as safetensors"),
    "convert": (
        "wavelight.checkpoints",
        "convert",
        "write a checkpoint from published weights of WaveDiff or DDGAN",
    ),
    "join": (
        "wavelight.joining",
        "join",
        "join factors that were trained apart into one checkpoint",
    ),
    "prepare": ("data_modules.prepare", "prepare", "turn images into shards for fast training"),
    "time": ("wavelight.timing", "time", "measure how long drawing takes, as papers do"),
    "compare": (
        "wavelight.comparison",
        "compare",
        "measure trained systems on equal terms, quality against steps and multiply-adds",
    ),
    "details": (
        "wavelight.detail_quality",
        "details",
        "measure whether details suffer from drawn coarse bands, and whether they use their noise",
    ),
    "sweep": (
        "wavelight.sweep",
        "sweep",
        "train variants of a system with several seeds, and compare them",
    ),
    "train_features": (
        "wavelight.feature_training",
        "train_features",
        "train a network on labelled images for FeatureNetworkMetrics to look through",
    ),
    "analyze": (
        "wavelight.analyze",
        "analyze",
        "measure how white, Gaussian and sparse the bands of a data set are, alone and given LL",
    ),
    "simulate": (
        "data_modules.phi4",
        "simulate",
        "simulate the phi^4 field at its critical point, for data_modules.Phi4",
    ),
    "phi4": (
        "wavelight.energy_table",
        "phi4",
        "print and draw how close SGM and WSGM come to the phi^4 field, against their steps",
    ),
    "steps": (
        "wavelight.theory.table",
        "steps",
        "print and draw how many steps SGM and WSGM need on Gaussian fields, exactly",
    ),
    "scaling": (
        "wavelight.scaling",
        "scaling",
        "measure how the cost of WSGM and SGM grows with the size of images",
    ),
    "benchmark": ("wavelight.benchmark", "main", "measure the speed of networks and training"),
}

# Training is not among them: a process that lives for days is to give back memory that it does not
# need.
_KEEP_MEMORY = (
    "predict",
    "sample",
    "upscale",
    "upscaling_quality",
    "time",
    "compare",
    "details",
    "scaling",
    "phi4",
    "benchmark",
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command that the first word names.

    Args:
        arguments: The words of the command line; none takes those of the process.
    """
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in _KEEP_MEMORY:
        # Before the command is imported, and with it PyTorch, which then allocates.
        keep_memory()
    if command in ("-h", "--help"):
        sys.stdout.write(_help())
    elif command in _TRAINER_COMMANDS:
        import_module("wavelight.cli").run(command, rest)
    elif command in _FUNCTIONS:
        _call(command, rest)
    else:
        sys.stderr.write(
            f"wavelight: there is no command {command!r}; `wavelight --help` lists them\n"
        )
        sys.exit(2)


def _call(command: str, arguments: list[str]) -> None:
    from jsonargparse import ArgumentParser

    from wavelight.errors import fail

    class Parser(ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
            fail(message)

    if any(word.startswith("--source") for word in arguments):
        import_module("data_modules").import_all()
    module, name, _ = _FUNCTIONS[command]
    function = getattr(import_module(module), name)
    parser = Parser(
        prog=f"wavelight {command}", description=(function.__doc__ or "").partition("\n\n")[0]
    )
    parser.add_function_arguments(function, as_positional=True)
    parsed = parser.parse_args(arguments)
    try:
        # Classes that an option names may refuse their own values.
        result = function(**parser.instantiate(parsed).as_dict())
    except (ValueError, OSError) as error:
        fail(str(error), error)
    if result is not None:
        sys.stdout.write(f"{result}\n")


def _help() -> str:
    rows = {**_TRAINER_COMMANDS, **{name: row[2] for name, row in _FUNCTIONS.items()}}
    lines = "\n".join(f"  {name:<17} {text}" for name, text in rows.items())
    return (
        "usage: wavelight COMMAND [options]\n\n"
        "Train, compare and extend wavelet generative models of images.\n\n"
        f"commands:\n{lines}\n\n"
        "`wavelight COMMAND --help` lists a command's options. The first thing to try:\n"
        "  wavelight fit --config experiments/demo.yaml\n"
    )


if __name__ == "__main__":
    main()
