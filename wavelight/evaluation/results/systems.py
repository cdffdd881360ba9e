"""Systems: records that are seeds of one, and their means."""

from collections.abc import Sequence
from typing import NamedTuple

from wavelight.config.differences import first_difference
from wavelight.config.seeds import (
    Mean,
    difference_but_seed,
    groups_of_seeds,
    mean_over_seeds,
    names_of_groups,
)
from wavelight.evaluation.results.records import Column, Record, Score


class System(NamedTuple):
    """A system, and a record for each seed that it was trained with."""

    name: str
    records: list[Record]

    @property
    def first(self) -> Record:
        """The record of the first seed, for all that is the same in all."""
        return self.records[0]

    def scores(self, column: Column) -> dict[int | None, Score]:
        """Return what is known of a column, by seed."""
        return {
            record.seed: record.scores[column] for record in self.records if column in record.scores
        }

    def mean(self, column: Column) -> Mean | None:
        """Return the mean over seeds, and the half width of its interval: infinite of one; None of none."""
        values = [score.value for score in self.scores(column).values()]
        if not values:
            return None
        return Mean(values[0], float("inf")) if len(values) == 1 else mean_over_seeds(values)

    def images_seen(self, columns: Sequence[Column]) -> tuple[int, int] | None:
        """Return the least and the most images seen where the columns were measured; None where it is not known."""
        seen = [
            score.images_seen
            for column in columns
            for score in self.scores(column).values()
            if score.images_seen is not None
        ]
        return (min(seen), max(seen)) if seen else None

    @property
    def device_hours(self) -> float | None:
        """The sum over seeds; None where one is not known."""
        hours = [record.training.device_hours for record in self.records]
        known = [each for each in hours if each is not None]
        return sum(known) if len(known) == len(hours) else None


def systems_of(records: Sequence[Record]) -> tuple[list[System], list[str]]:
    """Put seeds of one system together.

    Args:
        records: Records on one data set.

    Returns:
        The systems in the order in which they come, and a sentence on records that are not joined but seem to belong
        together.
    """
    groups, notes = groups_of_seeds(records, _why_apart)
    names = names_of_groups(groups)
    named = [group[0].variant or name for group, name in zip(groups, names, strict=True)]
    systems = [
        System(name if named.count(name) == 1 else other, group)
        for name, other, group in zip(named, names, groups, strict=True)
    ]
    return systems, notes


def _why_apart(one: Record, other: Record) -> str | None:
    if one.config is None or other.config is None:
        # `wavelight compare` has compared their configurations, and says so by a name that they share.
        alike = one.variant and one.variant == other.variant and one.config is other.config
        return None if alike and one.scores.keys() == other.scores.keys() else ""
    difference = difference_but_seed(one.config, other.config)
    if difference is None:
        return None
    # Runs that lie beside each other as seeds are meant to be some.
    beside = one.folder != other.folder and one.folder.parent == other.folder.parent
    return str(difference) if beside and _is_seed(one) and _is_seed(other) else ""


def _is_seed(record: Record) -> bool:
    return record.seed is not None and record.folder.name.endswith(str(record.seed))


def metric_options(records: Sequence[Record]) -> list[str]:
    """Return a sentence for every metric that runs have measured with other options."""
    notes: list[str] = []
    first: dict[str, tuple[str, object]] = {}
    for record in records:
        for metric, options in _metrics(record).items():
            name, others = first.setdefault(metric, (record.name, options))
            difference = first_difference(others, options, metric)
            if difference:
                notes.append(
                    f"{name} and {record.name} were measured with other options of a metric, so that its values "
                    f"are not to be compared: {difference}."
                )
    return notes


def _metrics(record: Record) -> dict[str, object]:
    metrics = ((record.config or {}).get("evaluation") or {}).get("metrics")
    return {
        str(metric["class_path"]).rpartition(".")[2]: metric.get("init_args") or {}
        for metric in (metrics if isinstance(metrics, list) else [])
        if isinstance(metric, dict) and "class_path" in metric
    }
