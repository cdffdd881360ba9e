"""Reading what ``wavelight compare`` and ``wavelight measure`` wrote as JSON."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wavelight.evaluation.results.records import Column, Cost, DataSet, Record, Score
from wavelight.evaluation.results.run_folders import data_set, number_of


def read_json(path: Path) -> list[Record]:
    """Return what a file says.

    Args:
        path: A JSON file of either command.

    Raises:
        ValueError: If it is another kind of file, in one sentence.
    """
    try:
        content = json.loads(path.read_text())
        if "measured" in content:
            return [_measured(content["measured"])]
        records = [record for record in _compared(content["rows"]) if record.scores]
        if not records:
            raise ValueError("no value is a number")
        return records
    except (
        *(OSError, ValueError, OverflowError, KeyError),
        *(TypeError, AttributeError, RecursionError),
    ) as error:
        raise ValueError(
            f"{path} is no file of `wavelight compare` or `wavelight measure`"
        ) from error


def _measured(content: Mapping[str, Any]) -> Record:
    folder, reference = Path(content["folder"]), str(content["reference"])
    images = int(content["images"])
    scores = _scores(content["values"], images, "measure", f"against {reference}", None)
    if not scores:
        raise ValueError("no value is a number")
    return Record(folder.name or str(folder), folder, DataSet(reference, None, {}), scores)


def _compared(rows: list[dict[str, Any]]) -> Iterator[Record]:
    for row in rows:
        conditions = row["conditions"]
        images, real = int(conditions["images"]), conditions["reference_images"]
        against = "" if real is None else f"against {real:,} real images"
        seen = number_of(row["images_seen"])
        networks = row["networks"]
        steps = " + ".join(str(int(number)) for number in row["steps"])
        # The run itself may be there too, with what it measured of itself.
        setting = (f", steps {steps}" if steps else "") + " (compare)"
        yield Record(
            name=f"{row['run']}{setting}",
            folder=Path(row["checkpoint"]),
            data=data_set(row["trained_on"]),
            scores=_scores(row["values"], images, "compare", against, seen),
            seed=None if row["training_seed"] is None else int(row["training_seed"]),
            variant=f"{row['system']}{setting}",
            cost=Cost(
                sum(network["evaluations"] for network in networks),
                sum(network["macs"] for network in networks) / 1e9,
                sum(network["parameters"] for network in networks),
            ),
        )


def _scores(
    values: Mapping[str, Any], images: int, stage: str, against: str, seen: float | None
) -> dict[Column, Score]:
    return {
        Column(str(name), images, stage, against): Score(value, None if seen is None else int(seen))
        for name, each in values.items()
        if (value := number_of(each)) is not None
    }
