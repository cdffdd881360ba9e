"""The data that a checkpoint was trained on, for commands that measure it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_modules import WaveletDataModule

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


def data_options(path: Path, config: Mapping[str, Any], changes: Mapping[str, Any]) -> Any:
    """Return all options of the data in a checkpoint's configuration, checked.

    Args:
        path: The checkpoint, for messages.
        config: Its configuration.
        changes: New values of some options, such as ``eval_batch_size``.

    Returns:
        A namespace, for :func:`build_data`.

    Raises:
        ValueError: If the configuration has no section ``data``, or its data cannot be built any more.
    """
    from jsonargparse import ArgumentError

    if "data" not in config:
        raise ValueError(
            f"{path} has no `data` section, so its data set is unknown: use a checkpoint "
            "written by `wavelight fit`"
        )
    try:
        return _parser().parse_object({"data": config["data"] | dict(changes)})
    except ArgumentError as error:
        raise ValueError(f"the data of {path} cannot be built: {error}") from error


def build_data(options: Any) -> WaveletDataModule:
    """Build the data module of :func:`data_options`, and fetch what is missing."""
    data: WaveletDataModule = _parser().instantiate(options).data
    data.prepare_data()
    return data


def _parser() -> "ArgumentParser":
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(WaveletDataModule, "data")
    return parser
