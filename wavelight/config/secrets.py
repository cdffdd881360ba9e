"""Secrets in options: whatever a run is given, it records in ``config.yaml``, in checkpoints and at W&B."""

import os
import re
from collections.abc import Mapping
from typing import Any

from wavelight.config.differences import named_options

_SHORTEST = 8
"""Characters of a value in the environment that is taken for a secret; shorter ones are in every other option."""

_SECRET_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)
_PASSWORD = re.compile(r"(?<=://)(?!\$\{)[^/@\s]*@")
_SIGNATURE = re.compile(
    r"(?<=[?&])[^=&\s]*(sig|signature|token|key|keyid|password|passwd|secret|credential)=(?!\$\{)[^&\s]+",
    re.IGNORECASE,
)


def check_no_secrets(config: Mapping[str, Any]) -> None:
    """Refuse options with an address that has a password or a signature, or with a secret of the environment.

    Args:
        config: A configuration by the names of its sections, as it would be recorded.

    Raises:
        ValueError: At the first one, in one sentence, in which it is not.
    """
    for section, content in config.items():
        for option, value in named_options(content, section):
            masked = _masked(value) if isinstance(value, str) else value
            if masked != value:
                raise ValueError(
                    f"{option} must hold no password, key or signature, as a run records its options, got {masked!r}: "
                    f"leave it to the environment{_of_shards(option)}"
                )


def _masked(text: str) -> str:
    """Return a text with *** in the place of what seems to be secret."""
    for name, secret in os.environ.items():
        if _SECRET_NAMES.search(name) and len(secret) >= _SHORTEST:
            text = text.replace(secret, "***")
    text = _PASSWORD.sub("***@", text)
    return _SIGNATURE.sub(lambda found: found[0].partition("=")[0] + "=***", text)


def _of_shards(option: str) -> str:
    if ".urls" not in option:
        return ""
    return ", or write ${NAME} in its place, which stands for the environment variable WDS_NAME"
