"""Options of a training that come from elsewhere: a sweep's file, or the server of W&B's sweeps.

Words that are typed and files of ``--config`` are trusted as code is: they may name any class. The file of a sweep may
be somebody else's, and words from W&B's server are of whoever may edit the sweep there.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from wavelight.checkpoints.data import check_urls
from wavelight.config.known_classes import OF_TRAINING, check_classes, only_known_classes

AGENT = "the words of W&B's sweep"
"""Where the words of a command line come from that an agent of W&B calls."""


def from_agent() -> bool:
    """Return whether ``wandb agent`` called this process, and wrote its words."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def trial_of_agent() -> str | None:
    """Return the id that an agent of W&B gave to the run of this process, None where no agent called it."""
    return os.environ.get("WANDB_RUN_ID") if from_agent() else None


def known_imports(trust_code: bool) -> AbstractContextManager[None]:
    """Return a context in which options name classes of wavelight, Lightning, torch and extensions alone.

    Args:
        trust_code: Whether they may name any.
    """
    return nullcontext() if trust_code else only_known_classes(OF_TRAINING)


def check_options(config: Mapping[str, Any], file: str, remedy: str) -> None:
    """Refuse options with a class from elsewhere, or shards that a command fetches.

    Args:
        config: Sections of a configuration, by name.
        file: Where they come from, for the message.
        remedy: How to trust it, for the message.

    Raises:
        ValueError: At the first one, in one sentence.
    """
    for name, section in config.items():
        check_classes(section, name, file, remedy, OF_TRAINING)
    data = config.get("data")
    if isinstance(data, Mapping):
        check_urls(data.get("source"), file, remedy)
