"""The data that a checkpoint was trained on, for commands that measure it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_modules import WaveletDataModule
from wavelight.checkpoints.configuration import TRUST, parse_stored

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

_SCHEMES = ("file", "http", "https", "s3", "gs", "hf", "abfs")
"""Where a checkpoint's shards may lie; no command is run for them but those of webdataset itself."""


def data_options(
    path: Path, config: Mapping[str, Any], changes: Mapping[str, Any], trust_code: bool
) -> Any:
    """Return all options of the data in a checkpoint's configuration, checked.

    Args:
        path: The checkpoint, for messages.
        config: Its configuration.
        changes: New values of some options, such as ``eval_batch_size``.
        trust_code: Whether the configuration may name any class, and any command that fetches shards.

    Returns:
        A namespace, for :func:`build_data`.

    Raises:
        ValueError: If the configuration has no section ``data``, names a class from elsewhere, or its data cannot be
            built any more.
    """
    if not isinstance(config.get("data"), dict):
        raise ValueError(
            f"{path} has no `data` section, so its data set is unknown: use a checkpoint "
            "written by `wavelight fit`"
        )
    options = parse_stored(_parser(), {"data": config["data"] | dict(changes)}, path, trust_code)
    if not trust_code:
        check_urls(options.data.source, str(path), TRUST)
    return options


def check_urls(source: Any, file: str, remedy: str) -> None:
    """Refuse a stream of shards that commands fetch (``pipe:...`` is handed to a shell), or variables take part in.

    Args:
        source: ``class_path`` and ``init_args`` of any source.
        file: The file that names it, for the message.
        remedy: How to trust the file, for the message.

    Raises:
        ValueError: If it names such a shard, in one sentence.
    """
    options = (source.get("init_args") if hasattr(source, "get") else None) or {}
    urls = options.get("urls") or []
    for url in [urls] if isinstance(urls, str) else urls:
        # As they are written: what braces stand for begins as they do, or has no scheme.
        if "${" in url or not all(map(_is_plain, url.split("::"))):
            raise ValueError(
                f"data.source.urls of {file} must be files or of {', '.join(_SCHEMES)}, without variables, got "
                f"{url!r}, which could run code or tell secrets: {remedy}"
            )


def _is_plain(url: str) -> bool:
    return ":" not in url or url.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))


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
