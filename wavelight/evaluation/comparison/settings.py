"""The numbers of steps at which each system is compared."""

from collections.abc import Iterator, Mapping

from wavelight.evaluation.comparison.bench import models_in_steps
from wavelight.systems import ImageGenerator


def settings_of(
    systems: Mapping[str, ImageGenerator], steps: list[int | list[int]] | None
) -> dict[str, list[list[int]]]:
    """Return for each system the steps of its score models, setting by setting."""
    own = {
        name: [model.steps or 0 for model in models_in_steps(system)]
        for name, system in systems.items()
    }
    if steps is None:
        return {name: [each] for name, each in own.items()}
    scales = {name: len(each) for name, each in own.items()}
    _check_steps(steps, scales)
    return {
        name: [list(each) for each in dict.fromkeys(_fitting(steps, count))] if count else [[]]
        for name, count in scales.items()
    }


def _fitting(steps: list[int | list[int]], scales: int) -> Iterator[tuple[int, ...]]:
    """Yield a number for each scale, from those entries that are for as many scales."""
    for entry in steps:
        if isinstance(entry, int):
            yield (entry,) * scales
        elif len(entry) == scales:
            yield tuple(entry)


def _check_steps(steps: list[int | list[int]], scales: Mapping[str, int]) -> None:
    if not steps:
        raise ValueError(
            "steps is empty: give at least one number, or leave it out for the systems' own"
        )
    for entry in steps:
        numbers = [entry] if isinstance(entry, int) else entry
        if not numbers or min(numbers) < 1:
            raise ValueError(f"steps must be at least 1, got {entry}")
        if isinstance(entry, list) and len(entry) not in scales.values():
            raise ValueError(
                f"steps {entry} has {len(entry)} numbers, but no system has that many score models: "
                "give one number a score model"
            )
    for name, count in scales.items():
        if count and not list(_fitting(steps, count)):
            raise ValueError(
                f"no entry of steps fits {name}, which has {count} score models: give a number, or "
                f"a list of {count}"
            )
