"""Systems from checkpoints and from configurations."""

from pathlib import Path
from typing import TYPE_CHECKING

from wavelight.systems import ImageGenerator
from wavelight.systems.base import CONFIG_KEY
from wavelight.weights import (
    load_weights,
    read_checkpoint,
    read_safetensors,
    state_of,
)

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def load(path: str | Path, ema: bool = True) -> ImageGenerator:
    """Build the system of a checkpoint, ready to sample: ``wavelight.load("x.ckpt").sample(64, seed=0)``.

    Needs no configuration file, no data and no Trainer; nothing but tensors and plain values is
    unpickled.

    Args:
        path: A checkpoint of a run, or a ``.safetensors`` file that :func:`export` wrote.
        ema: Whether to take the EMA weights, rather than those that optimizers step.

    Returns:
        The system, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of wavelight.
    """
    path = Path(path)
    config = config_text(path)
    if not config:
        raise ValueError(
            f"{path} holds no configuration, unlike a checkpoint written by `wavelight fit`: "
            "build its system in Python and load the weights with "
            "wavelight.weights.load_weights"
        )
    system = system_from_config(config)
    load_weights(system, path, ema)
    return system.eval()


def system_from_config(text: str) -> ImageGenerator:
    """Build the system that a resolved configuration describes.

    Args:
        text: YAML, with a section ``model``.
    """
    import yaml

    parser = model_parser()
    config = parser.parse_object({"model": yaml.safe_load(text)["model"]})
    return parser.instantiate(config).model


def experiment_parser() -> "ArgumentParser":
    """Return a parser of an experiment without its trainer: its seed, model and data, linked as in training."""
    import data_modules

    data_modules.import_all()
    parser = model_parser()
    parser.add_argument("--config", action="config")
    parser.add_argument("--seed_everything", type=int, default=0)
    parser.add_class_arguments(data_modules.WaveletDataModule, "data")
    link_seed_and_images(parser)
    return parser


def link_seed_and_images(parser: "ArgumentParser") -> None:
    """Let the model and the data follow the seed, and the model the side and the channels of the images.

    Args:
        parser: Of an experiment: ``seed_everything``, ``model`` and ``data``.
    """
    parser.link_arguments("seed_everything", "model.init_args.seed")
    parser.link_arguments("seed_everything", "data.seed")
    parser.link_arguments("data.image_size", "model.init_args.image_size")
    parser.link_arguments("data.channels", "model.init_args.channels", compute_fn=_channels)


def _channels(channels: int | None) -> int:
    # As most images have; a source with other channels refuses the system with a message.
    return 3 if channels is None else channels


def model_parser() -> "ArgumentParser":
    """Return a parser of one option, ``model``: any system with all its options."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageGenerator, "model")
    return parser


def config_text(path: Path) -> str:
    """Return the configuration that a checkpoint or an exported file holds, as YAML; empty if it holds none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of wavelight.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)[1].get(CONFIG_KEY, "")
    checkpoint = read_checkpoint(path, mapped=True)
    state_of(checkpoint)
    return checkpoint.get(CONFIG_KEY, "")
