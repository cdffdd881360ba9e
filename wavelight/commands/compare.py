"""``wavelight compare``: trained systems on equal terms."""

from pathlib import Path

from wavelight.checkpoints.loading import load
from wavelight.evaluation.comparison.bench import Bench
from wavelight.evaluation.comparison.curves import plot_comparison
from wavelight.evaluation.comparison.report import report_comparison
from wavelight.evaluation.comparison.rows import (
    ComparisonRow,
    check_kind,
    read_comparison,
    write_comparison,
)
from wavelight.evaluation.comparison.runs import data_of_runs, read_runs, systems_of_runs
from wavelight.evaluation.comparison.seeds import seeds_of_systems, summaries
from wavelight.evaluation.comparison.settings import settings_of
from wavelight.evaluation.meter import default_metric
from wavelight.metrics import ImageMetric
from wavelight.support.errors import check_least
from wavelight.support.figures import empty_figure


def compare(
    checkpoints: list[Path],
    steps: list[int | list[int]] | None = None,
    images: int = 2048,
    seed: int = 0,
    metrics: list[ImageMetric] | None = None,
    reference_images: int | None = None,
    batch_size: int = 64,
    device: str | None = None,
    devices: int = 1,
    out: Path | None = None,
    plot: Path | None = None,
    trust_code: bool = False,
) -> str | None:
    """Compare trained systems on equal terms: quality against steps, network evaluations and MACs.

    EMA weights sample the same numbers of images, which are measured as `wavelight validate`
    does, against the data that all of the systems were trained on. Prints a table; rows appear on
    stderr as they come. Runs that differ in nothing but the seed are one system: the table has
    their mean and its 95 % interval, and a file all rows. Last checkpoints of seeds are joined if
    they have seen as many images, best ones always.

    Args:
        checkpoints: Checkpoints of runs on the same data, one or several, or a glob, such as
            runs/*/checkpoints/last.ckpt.
        steps: Numbers of steps at which systems with score models are measured, like [2,4,8]; a
            number holds at every scale, and a list in its place, like [[18,8,5]], has one number
            for each scale, coarsest first, and is for the systems of as many scales. Systems
            without score models are measured as they are; by default all are.
        images: How many images each system samples for a row.
        seed: The seed of the set of images; image i of a seed is the same however many are generated.
        metrics: Metrics to compute; by default the Fréchet wavelet distance, and the distances of
            fields where values are unbounded.
        reference_images: How many real images to compare with; by default the whole training part.
        batch_size: How many images are generated at once, on each device.
        device: The device: cpu, cuda, cuda:1, mps; by default a GPU if there is one.
        devices: How many devices of that kind sample; with more than one, name none by number.
        out: A file for all numbers, rewritten after each row. In a JSON, rows that are there already, of
            the same weights and conditions, are not measured again, and rows of other calls stay; beside them
            it has the mean and interval of each system of this call. A CSV has the rows of this call alone.
        plot: A PNG, PDF or SVG for a figure of the metrics against steps and against MACs; it needs matplotlib.
        trust_code: Whether the checkpoints may name any class, and so run code of their own.

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
    if out is not None:
        check_kind(Path(out))
    figure = None if plot is None else empty_figure(plot, 11, 4)
    runs = read_runs([Path(path) for path in checkpoints], trust_code)
    data = data_of_runs(runs, {"val_images": images, "eval_batch_size": batch_size})
    systems = {run.name: load(run.path, trust_code=trust_code) for run in runs}
    settings = settings_of(systems, steps)
    bench = Bench(data, metrics or [default_metric(data)], reference_images, seed, device, devices)
    # All processes read it before the first row is written, for which they are all needed.
    known = {} if out is None else read_comparison(Path(out))
    names, notes = systems_of_runs(runs)
    rows: list[ComparisonRow] = []
    for run in runs:
        system = systems[run.name]
        for row in bench.rows(run, names[run.name], system, settings[run.name], known):
            rows.append(row)
            known[row.key] = row
            if out is not None:
                write_comparison(Path(out), list(known.values()))
    seeds = seeds_of_systems(rows)
    if out is not None:
        write_comparison(Path(out), list(known.values()), summaries(seeds))
    if figure is not None and plot is not None:
        plot_comparison(figure, seeds, Path(plot))
    return report_comparison(seeds, notes)
