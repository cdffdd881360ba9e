"""Systems from checkpoints and from configurations."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavelight.checkpoints.configuration import (
    check_stored,
    parse_stored,
    stored_config,
    stored_model,
)
from wavelight.checkpoints.without_training import without_training
from wavelight.systems import ImageGenerator
from wavelight.weights import load_weights

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def load(path: str | Path, ema: bool = True, trust_code: bool = False) -> ImageGenerator:
    """Build the system of a checkpoint, ready to sample: ``wavelight.load("x.ckpt").sample(64, seed=0)``.

    Needs no configuration file, no data and no Trainer. Nothing but tensors and plain values is unpickled, and
    classes are taken from wavelight, torch and the modules that the environment variable WAVELIGHT_EXTENSIONS names
    alone, so that somebody else's file runs no code of its own. Optimizers are left out.

    Args:
        path: A checkpoint of a run, or a ``.safetensors`` file that :func:`export` wrote.
        ema: Whether to take the EMA weights, rather than those that optimizers step.
        trust_code: Whether the file may name any class, and so run any code.

    Returns:
        The system, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of wavelight, or names a class from elsewhere.
    """
    path = Path(path)
    config = stored_config(path)
    if not config:
        raise ValueError(
            f"{path} holds no configuration, unlike a checkpoint written by `wavelight fit`: "
            "build its system in Python and load the weights with "
            "wavelight.weights.load_weights"
        )
    system = stored_system(config, path, trust_code)
    load_weights(system, path, ema)
    return system.eval()


def stored_system(config: Mapping[str, Any], path: Path, trust_code: bool) -> ImageGenerator:
    """Build the system of a checkpoint, to sample.

    Args:
        config: The configuration in the checkpoint, with a section ``model``.
        path: The checkpoint, for messages.
        trust_code: Whether the configuration may name any class.

    Raises:
        ValueError: If it names a class from elsewhere, or describes no system, in one sentence.
    """
    from jsonargparse import ArgumentParser

    model = stored_model(config, path)
    check_stored({"model": model}, path, trust_code)
    parser = ArgumentParser(exit_on_error=False)
    # Not as a base class, for which it would read files that a text names.
    parser.add_argument("--model", type=ImageGenerator)
    options = parse_stored(parser, {"model": without_training(model)}, path, trust_code)
    try:
        system: ImageGenerator = parser.instantiate(options).model
    except ValueError:
        raise
    # Values of the right types that make no sense raise many kinds.
    except Exception as error:
        raise ValueError(
            f"the system in {path} cannot be built: {type(error).__name__}: {error}"
        ) from error
    return system


def system_from_config(text: str) -> ImageGenerator:
    """Build the system that a resolved configuration of the user's own, or of one that ships, describes.

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
