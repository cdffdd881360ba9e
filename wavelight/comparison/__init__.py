"""Trained systems on equal terms, quality against what drawing costs: ``python -m wavelight compare``."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from wavelight.checkpoints import load
from wavelight.comparison.bench import Bench, score_models
from wavelight.comparison.report import draw, report, seeds_of_systems
from wavelight.comparison.rows import Row, read_rows, write_rows
from wavelight.comparison.runs import data_of_runs, read_runs
from wavelight.comparison.runs import systems as systems_of
from wavelight.errors import check_least
from wavelight.figures import empty_figure
from wavelight.measuring import default_metric
from wavelight.metrics import ImageMetric
from wavelight.systems import ImageGenerator

__all__ = ["Row", "compare"]


def compare(
    checkpoints: list[Path],
    steps: list[int | list[int]] | None = None,
    images: int = 2048,
    seed: int = 0,
    metrics: list[ImageMetric] | None = None,
    reference_images: int | None = None,
    batch_size: int = 64,
    accelerator: str = "auto",
    devices: int = 1,
    out: Path | None = None,
    plot: Path | None = None,
) -> str | None:
    """Compare trained systems on equal terms: quality against steps, network evaluations and multiply-adds.

    Averaged weights draw the same numbers of images, which are measured as `wavelight validate`
    does, against the data that all of the systems were trained on. Prints a table; rows appear on
    stderr as they come. Runs that differ in nothing but the seed are one system: the table has
    their mean and its 95 % interval, and a file all rows.

    Args:
        checkpoints: Checkpoints of runs on the same data, such as
            '[runs/a/checkpoints/last.ckpt,runs/b/checkpoints/last.ckpt]'.
        steps: Numbers of steps at which systems with score models are measured, like [2,4,8]; a
            number holds at every scale, and a list in its place, like [[18,8,5]], has one number
            for each scale, coarsest first, and is for the systems of as many scales. Systems
            without score models are measured as they are; without this option all are.
        images: How many images each system draws for a row.
        seed: The seed of the set of images, the same for all.
        metrics: What to measure; none takes the Fréchet wavelet distance, and the distances of
            fields where values are unbounded.
        reference_images: How many real images to compare with; none takes the whole training part.
        batch_size: How many images each device draws at once.
        accelerator: Where to draw: cpu, gpu, mps; auto takes a GPU if there is one.
        devices: How many of them.
        out: A JSON file for all numbers, rewritten after each row. Rows that are there already, of
            the same weights and conditions, are not measured again; rows of other calls stay.
        plot: A PNG to draw the metrics into, against steps and against multiply-adds; drawing needs
            matplotlib.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If a value makes no sense, if the systems were trained on different data, if
            there is no matplotlib to draw with, or if seeds of one system do not cost the same.
    """
    check_least(
        {
            "images": (images, 1),
            "batch_size": (batch_size, 1),
            "devices": (devices, 1),
            "reference_images": (reference_images, 1),
        }
    )
    figure = None if plot is None else empty_figure(11, 4)
    runs = read_runs([Path(path) for path in checkpoints])
    data = data_of_runs(runs, {"val_images": images, "eval_batch_size": batch_size})
    systems = {run.name: load(run.path) for run in runs}
    settings = _settings(systems, steps)
    bench = Bench(
        data, metrics or [default_metric(data)], reference_images, seed, accelerator, devices
    )
    # All processes read it before the first row is written, for which they are all needed.
    known = {} if out is None else read_rows(Path(out))
    rows: list[Row] = []
    for run in runs:
        for row in bench.rows(run, systems[run.name], settings[run.name], known):
            rows.append(row)
            known[row.key] = row
            if out is not None:
                write_rows(Path(out), list(known.values()))
    seeds = seeds_of_systems(rows, systems_of(runs))
    if figure is not None and plot is not None:
        draw(figure, seeds, Path(plot))
    return report(seeds)


def _settings(
    systems: Mapping[str, ImageGenerator], steps: list[int | list[int]] | None
) -> dict[str, list[list[int]]]:
    """Return for each system the steps of its score models, setting by setting."""
    own = {
        name: [model.steps for model in score_models(system)] for name, system in systems.items()
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
        raise ValueError("steps names no number; leave it out for the systems' own")
    for entry in steps:
        numbers = [entry] if isinstance(entry, int) else entry
        if not numbers or min(numbers) < 1:
            raise ValueError(f"steps are numbers of at least 1, not {entry}")
        if isinstance(entry, list) and len(entry) not in scales.values():
            raise ValueError(
                f"steps {entry} are for {len(entry)} scales, and no system has as many score models"
            )
    for name, count in scales.items():
        if count and not list(_fitting(steps, count)):
            raise ValueError(
                f"no entry of steps is for {name}, which has {count} score models: give a number, or a list of {count}"
            )
