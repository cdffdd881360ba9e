"""Rows of a comparison, and the file that keeps them."""

import csv
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_only

from wavelight.support.files import write_json, write_text
from wavelight.systems.cost import NetworkCost

CSV = ".csv"
JSON = ".json"


class ComparisonRow(NamedTuple):
    """Measurements of one system at one setting of its steps."""

    run: str
    """The name of the run."""

    system: str
    """The name that seeds of one system share."""

    training_seed: int | None
    checkpoint: str
    """The path of the file."""

    trained_on: dict[str, Any]
    """The options of the data that say which images they are, and their name."""

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
    def evaluations(self) -> int:
        """Evaluations of networks for an image, over all networks."""
        return sum(network.evaluations for network in self.networks)

    @property
    def key(self) -> str:
        """The key of a row: rows that share it are one."""
        return row_key(self.conditions, self.steps)


def row_key(conditions: dict[str, Any], steps: list[int]) -> str:
    """Return what rows of these conditions and steps must differ in from others."""
    return json.dumps([conditions, steps], sort_keys=True)


def check_kind(path: Path) -> None:
    """Refuse a file of rows that is neither JSON nor CSV by its ending.

    Raises:
        ValueError: If it is another kind.
    """
    if path.suffix not in (JSON, CSV):
        raise ValueError(f"out must end with {JSON} or {CSV}, got {path}")


def read_comparison(path: Path) -> dict[str, ComparisonRow]:
    """Return the rows of a file, by what tells them apart; none where there is no file yet, or it is a CSV.

    Raises:
        ValueError: If it holds no comparison.
    """
    if path.suffix == CSV or not path.exists():
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
def write_comparison(
    path: Path, rows: list[ComparisonRow], systems: list[dict[str, Any]] | None = None
) -> None:
    """Write the rows in place of those of the file, or, into a CSV, one line a row.

    Args:
        path: A file whose name :func:`check_kind` takes.
        rows: All rows.
        systems: Means over seeds, if these rows are all; a CSV has none.
    """
    if path.suffix == CSV:
        write_text(path, _lines(rows))
        return
    entries = [
        row._asdict() | {"networks": [network._asdict() for network in row.networks]}
        for row in rows
    ]
    write_json(path, {"rows": entries, "systems": systems or []})


def _lines(rows: list[ComparisonRow]) -> str:
    cells = [_cells(row) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in cells for name in row)))
    writer.writeheader()
    writer.writerows(cells)
    return text.getvalue()


def _cells(row: ComparisonRow) -> dict[str, Any]:
    return {
        "run": row.run,
        "system": row.system,
        "training_seed": row.training_seed,
        "checkpoint": row.checkpoint,
        "images_seen": row.images_seen,
        "steps": " ".join(map(str, row.steps)),
        "nfe": row.evaluations,
        "gmacs": row.gigamacs,
        "milliseconds": row.milliseconds,
        "batch_size": row.batch_size,
        "device": row.device,
        "images": row.conditions["images"],
        "seed": row.conditions["seed"],
        **row.values,
        **{f"{name}_held_out": value for name, value in row.held_out.items()},
    }
