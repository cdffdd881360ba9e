"""Reading the folder of a run: its configuration, its record and its metrics. Nothing is unpickled."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wavelight.config import bounded_yaml
from wavelight.evaluation.results.metrics_file import NAME as METRICS
from wavelight.evaluation.results.metrics_file import column_of, curves_of, read_metrics, scores_of
from wavelight.evaluation.results.published import PublishedRow
from wavelight.evaluation.results.records import Cost, DataSet, Record, Training

CHECKPOINTS = "checkpoints"
CONFIG = "config.yaml"
RECORD = "run.json"
"""Named again here because the modules that write them import PyTorch, and a report is to take no time."""

_SAME_IMAGES = ("source", "image_size", "held_out", "flip")
"""Options of the data that decide which images they are."""

_OF_THE_MACHINE = ("root", "download")
"""Options of a source that say where the same images lie."""

_OF_A_SEED = re.compile(r"(seed[-_]?)?\d+")


def read_run(folder: Path, notes: list[str]) -> Record:
    """Return what a run's folder says.

    Args:
        folder: The run's.
        notes: Takes a sentence on whatever is missing, though the run can be shown.

    Raises:
        ValueError: If the run cannot be shown, in one sentence.
    """
    config = _config(folder)
    data: Mapping[str, Any] = config["data"]
    record = _record(folder, notes)
    evaluation = config.get("evaluation") or {}
    images = number_of(evaluation.get("reference_images"))
    against = "" if images is None else f"against {images:,} real images"
    planned = (number_of(data.get(name)) for name in ("val_images", "test_images"))
    counts = [int(count) for count in planned if count is not None]
    try:
        metrics = read_metrics(folder / METRICS, against, counts)
    except OSError as error:
        raise ValueError(f"{folder} has no {METRICS}: nothing was measured yet") from error
    if metrics.damaged:
        lines = "a line that is" if metrics.damaged == 1 else f"{metrics.damaged} lines that are"
        notes.append(f"{folder / METRICS} has {lines} cut or damaged, which is left out.")
    monitor = str((config.get("best") or {}).get("monitor")).rpartition("/")[2]
    scores = scores_of(metrics.logged, monitor)
    if not scores:
        raise ValueError(f"{folder / METRICS} has no metric of images: nothing was measured yet")
    model = config.get("model") or {}
    cost = _mapping(record.get("cost"))
    hours = number_of(record.get("device_hours"))
    name = str(record.get("name") or _called(folder))
    return Record(
        name=name,
        folder=folder,
        data=data_set(data, str(record.get("dataset") or "")),
        scores=scores,
        seed=_seed(config),
        config=config,
        system=str(record.get("system") or str(model.get("class_path", "")).rpartition(".")[2]),
        cost=Cost(*(number_of(cost.get(name)) for name in Cost._fields)),
        training=Training(
            metrics.device_hours if hours is None else hours,
            _device(record),
            str(record.get("command") or ""),
            str(record.get("revision") or ""),
        ),
        curves=curves_of(metrics.logged),
        held_out={
            column: value
            for name, each in _mapping(record.get("held_out")).items()
            if (column := column_of(str(name).removesuffix("_held_out"), against, counts))
            is not None
            and (value := number_of(each)) is not None
        },
        published=_published(_mapping(record.get("published")), name),
    )


def _published(facts: Mapping[str, Any], name: str) -> PublishedRow | None:
    fid, recall = number_of(facts.get("fid")), number_of(facts.get("recall"))
    if fid is None and recall is None:
        return None
    return PublishedRow(name, fid, recall, note=str(facts.get("source") or ""))


def data_set(options: Mapping[str, Any], name: str = "") -> DataSet:
    """Return the data set of a section ``data`` of a configuration.

    Args:
        options: The section.
        name: What the data set is called; by default what the section or else its source says.
    """
    source = options.get("source")
    kept = {key: options.get(key) for key in _SAME_IMAGES}
    own_name = "data"
    if isinstance(source, Mapping):
        own_name = str(source.get("class_path", own_name)).rpartition(".")[2].lower()
        arguments = _mapping(source.get("init_args"))
        there = {key: each for key, each in arguments.items() if key not in _OF_THE_MACHINE}
        kept["source"] = {**source, "init_args": there}
    size = number_of(options.get("image_size"))
    title = name or options.get("name") or own_name
    return DataSet(str(title), None if size is None else int(size), kept)


def number_of(value: Any) -> float | None:
    """Return a number out of a file that may hold anything; None where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(f"{folder} is no folder of a run: it has no {CONFIG}")
    config = bounded_yaml.read(path)
    if not isinstance(config, dict) or not isinstance(config.get("data"), dict):
        raise ValueError(f"{path} is no configuration of a run: it has no section `data`")
    wrong = [
        name
        for name in ("model", "evaluation", "best")
        if not isinstance(config.get(name) or {}, dict)
    ]
    if wrong:
        raise ValueError(f"{path} is no configuration of a run: {wrong[0]} is no section")
    return config


def _record(folder: Path, notes: list[str]) -> Mapping[str, Any]:
    path = folder / RECORD
    lost = "cost, device hours, commit and command of its run are not known"
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        notes.append(f"{folder} has no {RECORD}: {lost}.")
        return {}
    except (OSError, ValueError, RecursionError):
        notes.append(f"{path} is damaged: {lost}.")
        return {}
    if not isinstance(found, dict):
        notes.append(f"{path} holds no record of a run: {lost}.")
        return {}
    return found


def _seed(config: Mapping[str, Any]) -> int | None:
    seed = config.get("seed_everything")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _device(record: Mapping[str, Any]) -> str:
    device, devices = str(record.get("device") or ""), number_of(record.get("devices"))
    return f"{devices:g} x {device}" if device and devices and devices > 1 else device


def _called(folder: Path) -> str:
    """Return a name of a folder that the record does not name: sgm/seed-1."""
    folder = folder.absolute()
    parts = folder.parts[-2:] if _OF_A_SEED.fullmatch(folder.name) else folder.parts[-1:]
    return "/".join(parts)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
