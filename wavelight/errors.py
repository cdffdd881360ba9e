"""How a command ends when its input is bad: one sentence, exit code 2."""

import os
import re
import sys
from typing import NoReturn

_USAGE_ERROR = 2


def fail(message: str, error: Exception | None = None) -> NoReturn:
    """Say what is wrong with the input in one sentence, and stop with exit code 2.

    Args:
        message: What is wrong.
        error: The exception that told it; raised again, with its traceback, if WAVELIGHT_TRACEBACK is set.
    """
    if error is not None and os.environ.get("WAVELIGHT_TRACEBACK"):
        raise error
    sentence = re.sub(r"\s+", " ", message).strip()
    sys.stderr.write(f"wavelight: {sentence}\n")
    sys.exit(_USAGE_ERROR)
