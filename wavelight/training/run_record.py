"""Record of a run in its folder, ``run.json``: what it is called, what it trains and costs, and how long it took."""

import os
import re
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wavelight.support.files import read_object, write_json

RECORD = "run.json"
"""Name of the file."""

_ID_BYTES = 4
_OF_A_SEED = re.compile(r"(seed[-_]?)?\d+")


class RunRecord:
    """Facts of a run, in the run's folder from its first start on; its id makes all starts one run of W&B.

    Args:
        folder: The run's: ``trainer.default_root_dir``.

    Attributes:
        facts: By name; what a file says that is there, or an id alone.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self.facts = read_object(self.path)
        if not isinstance(self.facts.get("id", ""), str):
            self.facts = {}
        # An agent of W&B has chosen one already.
        chosen = os.environ.get("WANDB_RUN_ID")
        self.facts.setdefault("id", chosen or secrets.token_hex(_ID_BYTES))

    def write(self, facts: Mapping[str, Any]) -> None:
        """Add facts, and bring all of them to the file."""
        self.facts |= facts
        write_json(self.path, self.facts)


def names_of_run(folder: Path) -> tuple[str, str]:
    """Return what a run is called, and what it shares with others that differ in the seed alone.

    >>> names_of_run(Path("runs/church")), names_of_run(Path("runs/sweeps/cifar10/sgm/seed-1"))
    (('church', 'church'), ('sgm/seed-1', 'sgm'))

    Args:
        folder: The run's; seeds of one system lie beside each other, as ``seed-1`` or ``1``, and trials of an agent
            of W&B under their ids.
    """
    folder = folder.absolute()
    name, parent = folder.name, folder.parent.name
    beside_others = _OF_A_SEED.fullmatch(name) or name == os.environ.get("WANDB_RUN_ID")
    return (f"{parent}/{name}", parent) if beside_others else (name, name)


def command_line() -> str:
    """Return the command that this process runs, to be typed again."""
    program, *words = sys.argv
    ours = Path(program).name in ("__main__.py", "wavelight")
    return shlex.join([*(["python", "-m", "wavelight"] if ours else ["python", program]), *words])
