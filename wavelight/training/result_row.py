"""The row that papers print of a checkpoint: quality, time and cost, as a table and in the run's ``test.json``."""

from pathlib import Path
from typing import Any, NamedTuple

from wavelight.support.files import read_object, write_json
from wavelight.support.tables import markdown_table

RESULTS = "test.json"
"""Name of the file: an object with a row for each checkpoint that was tested, by the name of its file."""

_UNKNOWN = "-"


class ResultRow(NamedTuple):
    """What a test has found of a checkpoint, and what sampling and training it cost."""

    run: str
    checkpoint: str
    metrics: dict[str, float]
    """By their names in logs, such as ``test/fid50k``."""

    milliseconds: float
    """Time to sample one image on one device, the first batch left out."""

    peak_memory: int
    """In bytes: of a GPU's tensors while it sampled; on a CPU of the whole process, metrics included."""

    cost: dict[str, Any]
    """Of one image: ``nfe``, ``gmacs`` and ``parameters``; empty where they cannot be counted."""

    images_seen: int
    device_hours: float | None
    """Hours of training times devices; None where the checkpoint does not say."""

    device: str
    devices: int

    @property
    def images_per_second(self) -> float:
        """What all devices sample."""
        return 1e3 * self.devices / self.milliseconds

    @property
    def cells(self) -> dict[str, str]:
        """The row of a table."""
        parameters = self.cost.get("parameters")
        return {
            "run": self.run,
            "checkpoint": self.checkpoint,
            **{name.removeprefix("test/"): f"{value:.4g}" for name, value in self.metrics.items()},
            "NFE": str(self.cost.get("nfe", _UNKNOWN)),
            "ms an image": f"{self.milliseconds:.4g}",
            "images/s": f"{self.images_per_second:.4g}",
            "10^6 parameters": _rounded(parameters and parameters / 1e6),
            "GMACs": _rounded(self.cost.get("gmacs")),
            "peak memory MB": f"{self.peak_memory / 1e6:.0f}",
            "images seen": f"{self.images_seen:,}",
            "device hours": _rounded(self.device_hours),
        }

    @property
    def table(self) -> str:
        """The row and what its time and memory are of, as Markdown."""
        lines = markdown_table([self.cells], left=["run", "checkpoint"])
        devices = f"{self.devices} x {self.device}" if self.devices > 1 else self.device
        return "\n".join([*lines, f"Sampling time and peak memory are those of {devices}."])

    def write(self, folder: Path) -> None:
        """Write the row into the folder of its run, beside those of other checkpoints."""
        row = self._asdict() | {"images_per_second": self.images_per_second}
        write_json(folder / RESULTS, read_object(folder / RESULTS) | {self.checkpoint: row})


def _rounded(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.4g}"
