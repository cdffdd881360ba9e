"""From files to systems that draw, and from systems to files that others read."""

from pathlib import Path
from typing import Any

from wavelight.systems import ImageGenerator
from wavelight.systems.base import CONFIG_KEY
from wavelight.weights import (
    drawing_state,
    load_weights,
    read_checkpoint,
    read_safetensors,
    state_of,
    write_safetensors,
)


def load(path: str | Path, averaged: bool = True) -> ImageGenerator:
    """Build the system of a checkpoint, ready to draw: ``wavelight.load("x.ckpt").sample(64, seed=0)``.

    Needs no configuration file, no data and no Trainer; nothing but tensors and plain values is
    unpickled.

    Args:
        path: A checkpoint of a run, or a ``.safetensors`` file that :func:`export` wrote.
        averaged: Whether the averaged weights are taken, not those that were learning.

    Returns:
        The system, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of wavelight.
    """
    path = Path(path)
    config = _config_text(path)
    if not config:
        raise ValueError(
            f"{path} holds no configuration, as checkpoints of the command line do; build its system in Python and "
            "load its weights with wavelight.weights.load_weights"
        )
    system = system_from_config(config)
    load_weights(system, path, averaged)
    return system.eval()


def system_from_config(text: str) -> ImageGenerator:
    """Build the system that a resolved configuration describes.

    Args:
        text: YAML, with a section ``model``.
    """
    import yaml
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageGenerator, "model")
    config = parser.parse_object({"model": yaml.safe_load(text)["model"]})
    return parser.instantiate(config).model


def export(checkpoint: Path, out: Path, raw: bool = False) -> None:
    """Write the networks that draw images, and nothing else, as safetensors.

    A single generator's tensors have its own names, so that they load into the bare network; the
    file's header keeps the configuration, so that ``wavelight sample`` and ``wavelight.load`` read
    the file, too.

    Args:
        checkpoint: A checkpoint of a run.
        out: The file to write, ending in .safetensors.
        raw: Whether the weights that were learning are written, in place of their average.
    """
    if Path(out).suffix != ".safetensors":
        raise ValueError(f"the file to write ends in .safetensors, which {out} does not")
    system = load(checkpoint, averaged=not raw)
    write_safetensors(
        Path(out), drawing_state(system), {CONFIG_KEY: _config_text(Path(checkpoint))}
    )


def _config_text(path: Path) -> str:
    if path.suffix == ".safetensors":
        return read_safetensors(path)[1].get(CONFIG_KEY, "")
    checkpoint: dict[str, Any] = read_checkpoint(path)
    state_of(checkpoint)
    return checkpoint.get(CONFIG_KEY, "")
