"""Bad input of a command: what is wrong in one sentence, exit code 2."""

import os
import re
import sys
from collections.abc import Mapping
from typing import NoReturn

_USAGE_ERROR = 2
_KEY = re.compile(r"^Parser key \"(.*?)\":\s*")
_TYPE = re.compile(r"(?:an? )?<class '(?:\w+\.)*(\w+)'>")
_FRAMES = re.compile(r"\s*Exception raised from .*", re.DOTALL)
"""What PyTorch appends of its own code."""

_LONGEST = 1000
_END = 250
_CLASS = re.compile(r"Expected a dot import path string: (\S+).*", re.DOTALL)


class OptionError(ValueError):
    """An option that cannot be, which shows only when a run has begun: one sentence all the same, and no traceback."""


class SaidElsewhereError(OptionError):
    """Bad input that another process has found, which says so: this one ends without a word."""


def in_words(message: str) -> str:
    """Reduce a parser's message to one sentence that a person can act on.

    jsonargparse lists every alternative of a type and prints the whole configuration behind it;
    what matters are the reasons of the alternatives that hold a value. Values of a thousand characters are shortened.
    """
    key = _KEY.match(message)
    _, listed, alternatives = message.partition("Errors:")
    if listed:
        reasons, _, given = alternatives.partition("Given value type")
        found = dict.fromkeys(
            line.strip(" -") for line in reasons.splitlines() if "NoneType" not in line
        )
        value = given.partition("Given value: ")[2]
        message = " or ".join(filter(None, found))
        if value and "Namespace(" not in value and value not in message:
            message += f". Got value: {value}"
        message = (f"{key[1]}: " if key else "") + message
    elif key:
        message = f"{key[1]}: {message[key.end() :]}"
    message = _CLASS.sub(r"there is no class \1", _TYPE.sub(r"\1", message))
    message = re.sub(r"\s+", " ", _FRAMES.sub("", message)).strip()
    if len(message) > _LONGEST:
        # What is to be done stands at the end.
        message = f"{message[: _LONGEST - _END]} ... {message[-_END:]}"
    return message


def check_least(least: Mapping[str, tuple[float | None, float]]) -> None:
    """Check the smallest values of numbers that were given.

    Args:
        least: By what it is called, the number and the smallest it may be; None was not given.

    Raises:
        ValueError: If one is smaller.
    """
    for name, (number, lowest) in least.items():
        if number is not None and number < lowest:
            raise ValueError(f"{name} must be at least {lowest}, got {number}")


def fail(message: str, error: Exception | None = None) -> NoReturn:
    """Say what is wrong with the input in one sentence, and stop with exit code 2.

    Args:
        message: The problem, in one sentence.
        error: The exception that told it; raised again, with its traceback, if WAVELIGHT_TRACEBACK
            is set.
    """
    if error is not None and os.environ.get("WAVELIGHT_TRACEBACK"):
        raise error
    if not isinstance(error, SaidElsewhereError):
        sys.stderr.write(f"wavelight: {in_words(message)}\n")
    sys.exit(_USAGE_ERROR)
