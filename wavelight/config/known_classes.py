"""Classes that files from elsewhere may name: those of this project, of torch, and of modules that the user has named.

A configuration calls what it names, and importing a module runs it. So a checkpoint or a sweep that somebody sent is
code, unless the names in it are checked first. Here they are checked twice: every ``class_path`` before anything
parses the configuration, and every other text where jsonargparse would import it.
"""

import inspect
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

from wavelight.config.differences import named_options
from wavelight.support.private_names import importing_only

EXTENSIONS = "WAVELIGHT_EXTENSIONS"
"""The environment variable with the user's own modules, such as ``my_models,my_data``."""

OF_SYSTEMS = (
    "wavelight.systems",
    "wavelight.models",
    "wavelight.networks",
    "wavelight.factorizations",
    "wavelight.losses",
    "wavelight.diffusion",
    "data_modules",
    "torch.optim",
    "torch.nn",
)
"""Where a system and its data may come from."""

OF_TRAINING = (
    *OF_SYSTEMS,
    "wavelight.callbacks",
    "wavelight.loggers",
    "wavelight.metrics",
    "lightning.pytorch",
    "lightning.fabric.plugins",
)
"""Where everything else of a training may come from."""

_CLASS_KEY = "class_path"
_DENIED = re.compile(r"Importing '([^']+)' is not allowed")


def only_known_classes(places: tuple[str, ...] = OF_SYSTEMS) -> AbstractContextManager[None]:
    """Return a context in which jsonargparse imports nothing but from these places and the user's extensions.

    Args:
        places: Packages and modules.
    """
    return importing_only([*places, *_extensions()])


def check_classes(
    section: Any, name: str, file: str, remedy: str, places: tuple[str, ...] = OF_SYSTEMS
) -> None:
    """Refuse a configuration with a ``class_path`` that is no class of these places or of an extension.

    Args:
        section: A part of the configuration, as YAML has it.
        name: The option that holds it.
        file: Names the file, for the message.
        remedy: How to trust the file all the same, for the message.
        places: Packages and modules.

    Raises:
        ValueError: At the first one, in one sentence; nothing of it was imported.
    """
    for option, value in named_options(section, name):
        if option.endswith(f".{_CLASS_KEY}") and not _is_known(value, places):
            raise ValueError(_refusal(file, option.removesuffix(f".{_CLASS_KEY}"), value, remedy))


def refusal_of_import(
    error: BaseException, file: str, remedy: str, config: Mapping[str, Any] | None = None
) -> str | None:
    """Return the sentence for an import that :func:`only_known_classes` refused, None for another error of a parser.

    Args:
        error: The parser's, or one that it led to.
        file: Names the file.
        remedy: How to trust the file all the same.
        config: What was parsed, by the names of its sections, to name the option.
    """
    denied = next(filter(None, (_DENIED.search(str(each)) for each in _led_to(error))), None)
    if denied is None:
        return None
    sections = (config or {}).items()
    options = (each for name, section in sections for each in named_options(section, name))
    named = (option for option, value in options if value == denied[1])
    return _refusal(file, next(named, "a value"), denied[1], remedy)


def _led_to(error: BaseException | None) -> Iterator[BaseException]:
    """Go back through the errors that led to one: a parser tries other readings, and tells of the last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refusal(file: str, option: str, value: object, remedy: str) -> str:
    return (
        f"{option} of {file} must be a class of wavelight, torch or an extension, got {value!r}, which could run code: "
        f"{remedy}, or name its module in {EXTENSIONS}"
    )


def _extensions() -> list[str]:
    return os.environ.get(EXTENSIONS, "").replace(",", " ").split()


def _is_known(path: object, places: tuple[str, ...]) -> bool:
    if not isinstance(path, str) or not all(part.isidentifier() for part in path.split(".")):
        return False
    if "." not in path:
        # The parser looks among classes that are there already, and what it finds is checked as it is imported.
        return True
    if _lies_in(path, _extensions()):
        return True
    return _lies_in(path, places) and any(
        _lies_in(f"{found.__module__}.{found.__qualname__}", places) for found in _classes(path)
    )


def _lies_in(path: str, places: tuple[str, ...] | list[str]) -> bool:
    return any(path.startswith(f"{place}.") for place in places)


def _classes(path: str) -> Iterator[type]:
    """Find the class of a path in a module of a known place; no function, and nothing that a class has inside."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError:
        return
    if inspect.isclass(found):
        yield found
