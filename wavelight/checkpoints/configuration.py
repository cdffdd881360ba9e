"""The configuration inside a checkpoint or an exported file, which may be somebody else's."""

from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from wavelight.config.bounded_yaml import load
from wavelight.config.known_classes import check_classes, only_known_classes, refusal_of_import
from wavelight.support.errors import in_words
from wavelight.systems.base import CONFIG_KEY
from wavelight.weights import read_checkpoint, read_safetensors, state_of

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

TRUST = "give --trust_code if you trust the file (trust_code=True in Python)"
"""How to load classes from elsewhere all the same."""


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
    text = checkpoint.get(CONFIG_KEY, "")
    if not isinstance(text, str):
        raise ValueError(
            f"{CONFIG_KEY} of {path} must be YAML, got a {type(text).__name__}: the file is damaged"
        )
    return text


def stored_config(path: Path) -> dict[str, Any]:
    """Return the configuration that a checkpoint or an exported file holds; empty if it holds none.

    Nothing of it is imported or called, and its classes are not checked yet.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of wavelight, or its configuration is no configuration.
    """
    text = config_text(path)
    try:
        config = load(text, _PlainLoader) or {}
    except ValueError as error:
        raise ValueError(
            f"the configuration in {path} must be YAML as `wavelight fit` writes it: {in_words(str(error))}"
        ) from error
    if not isinstance(config, dict):
        raise ValueError(
            f"the configuration in {path} must be YAML as `wavelight fit` writes it, got {type(config).__name__}"
        )
    return config


def stored_model(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the section of the system in a stored configuration.

    Raises:
        ValueError: If there is none, in one sentence.
    """
    model = config.get("model")
    if not (isinstance(model, dict) and isinstance(model.get("init_args", {}), dict)):
        raise ValueError(
            f"the configuration in {path} must have a section `model` with class_path and init_args, got "
            f"{model!r:.80}: use a checkpoint written by `wavelight fit`"
        )
    return model


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML without merge keys, which no run writes, and which can stand for more than memory holds."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.YAMLError("a merge key (<<) has no place in it")


def check_stored(sections: Mapping[str, Any], path: Path, trust_code: bool) -> None:
    """Refuse sections of a stored configuration with a class from elsewhere, unless the file is trusted.

    Args:
        sections: By name.
        path: The file that holds them.
        trust_code: Whether classes may come from anywhere.

    Raises:
        ValueError: At the first one, in one sentence; nothing of it was imported.
    """
    for name, section in sections.items() if not trust_code else ():
        check_classes(section, name, str(path), TRUST)


def parse_stored(
    parser: "ArgumentParser", sections: Mapping[str, Any], path: Path, trust_code: bool
) -> "Namespace":
    """Parse sections of a stored configuration; classes from elsewhere are neither imported nor called.

    Args:
        parser: Its options are the sections; it must read no files.
        sections: By name.
        path: The file that holds them.
        trust_code: Whether classes may come from anywhere.

    Raises:
        ValueError: If a class comes from elsewhere, or the parser refuses the sections, in one sentence.
    """
    check_stored(sections, path, trust_code)
    try:
        with nullcontext() if trust_code else only_known_classes():
            # It puts objects in the place of classes.
            return parser.parse_object(deepcopy(dict(sections)))
    # Of malformed values it raises many kinds, and nothing but the parser runs here.
    except Exception as error:
        refused = refusal_of_import(error, str(path), TRUST, sections)
        raise ValueError(
            refused or f"the configuration in {path} cannot be used: {in_words(str(error))}"
        ) from error
