"""Offline files of Weights & Biases, read back as ``wandb sync`` would."""

import json
from dataclasses import dataclass, field


def records(content, header=7, block=32768):
    """Take a W&B file apart, which is a log of LevelDB's format: checksum, length, whole or part, and the data."""
    assert content[:4] == b":W&B"
    position, parts = header, b""
    while position + 7 <= len(content):
        if block - position % block < 7:
            position += block - position % block
            continue
        length, kind = (
            int.from_bytes(content[position + 4 : position + 6], "little"),
            content[position + 6],
        )
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


@dataclass
class OfflineRun:
    """What one process has written of a run."""

    run: object = None
    config: dict = field(default_factory=dict)
    rows: list = field(default_factory=list)
    summary: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)

    @property
    def names(self):
        """Names of all that was logged."""
        return {name for row in self.rows for name in row}

    def column(self, name):
        return [row[name] for row in self.rows if name in row]


def offline_runs(folder):
    """Return what processes have written of runs in a folder, oldest first."""
    paths = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    return [_read(path) for path in paths]


def _read(path):
    from wandb.proto import wandb_internal_pb2

    found = OfflineRun()
    for data in records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= _values(record.run.config.update)
        elif kind == "config":
            found.config |= _values(record.config.update)
        elif kind == "history":
            found.rows.append(_values(record.history.item))
        elif kind == "summary":
            found.summary |= _values(record.summary.update)
        elif kind == "metric":
            found.metrics[record.metric.name] = record.metric
    return found


def _values(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
