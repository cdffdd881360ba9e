"""Rows of a comparison, and the file that keeps them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_only

from wavelight.support.files import write_json
from wavelight.systems.cost import NetworkCost


class ComparisonRow(NamedTuple):
    """Measurements of one system at one setting of its steps."""

    system: str
    images_seen: int | None
    """In training; None where the file does not tell."""

    steps: list[int]
    """Steps of each of its score models, from coarse to fine; empty where it has none."""

    networks: list[NetworkCost]
    milliseconds: float
    """Seconds to sample an image on one device."""

    batch_size: int
    device: str
    values: dict[str, float]
    """Distances, by metric."""

    held_out: dict[str, float]
    """The same of held-out real images; empty where there are none."""

    held_out_images: int
    conditions: dict[str, Any]
    """All that the values depend on beside the steps."""

    @property
    def taken(self) -> list[int]:
        """The steps, which are the evaluations of networks that have no other number of steps."""
        return self.steps or [network.evaluations for network in self.networks]

    @property
    def alike(self) -> bool:
        """Whether the steps are the same at every scale."""
        return len(set(self.taken)) == 1

    @property
    def mean_steps(self) -> float:
        """The mean of the steps over the scales."""
        return sum(self.taken) / len(self.taken)

    @property
    def gigamacs(self) -> float:
        """10^9 MACs of an image, over all networks."""
        return sum(network.macs for network in self.networks) / 1e9

    @property
    def key(self) -> str:
        """The key of a row: rows that share it are one."""
        return row_key(self.conditions, self.steps)


def row_key(conditions: dict[str, Any], steps: list[int]) -> str:
    """Return what rows of these conditions and steps must differ in from others."""
    return json.dumps([conditions, steps], sort_keys=True)


def read_comparison(path: Path) -> dict[str, ComparisonRow]:
    """Return the rows of a file, by what tells them apart; none where there is no file yet."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text())["rows"]
        rows = [
            ComparisonRow(
                **entry | {"networks": [NetworkCost(**each) for each in entry["networks"]]}
            )
            for entry in entries
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no comparison: name another file") from error
    return {row.key: row for row in rows}


@rank_zero_only
def write_comparison(path: Path, rows: list[ComparisonRow]) -> None:
    """Write the rows in place of those of the file."""
    entries = [
        row._asdict() | {"networks": [network._asdict() for network in row.networks]}
        for row in rows
    ]
    write_json(path, {"rows": entries})
