"""Trained systems on equal terms, quality against what drawing costs: ``python -m wavelight compare``."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import lightning as L
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from typing_extensions import override

from data_modules import WaveletDataModule
from wavelight.callbacks import Evaluation
from wavelight.callbacks.evaluation import short_count
from wavelight.checkpoints import config_text, load
from wavelight.cost import NetworkCost, cost
from wavelight.differences import first_difference
from wavelight.drawing import digest
from wavelight.figures import empty_figure, save_figure
from wavelight.metrics import FieldDistance, FrechetWaveletDistance, ImageMetric
from wavelight.models import ScoreModel
from wavelight.systems import ImageGenerator
from wavelight.systems.base import PROGRESS_KEY
from wavelight.timing import device_name, markdown_table, wait_for
from wavelight.trainer import Trainer
from wavelight.training_data import build_data, data_options
from wavelight.weights import holds_run, read_checkpoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SAME_DATA = ("source", "image_size", "held_out", "flip")
"""What the data must have in common; the rest decides how they are read, not which they are."""

_LEGEND = (
    "NFE: evaluations, network by network. GMAC: 10^9 multiply-adds of an image, of convolutions, linear layers and "
    "attention.",
    "ms: an image's share of the time in which one device drew these very images, waited for, without the first batch "
    "where there are more ({where}).",
)


class Row(NamedTuple):
    """What was measured of one system at one setting of its steps."""

    system: str
    images_seen: int | None
    """In training; None where the file does not tell."""

    steps: list[int]
    """Of each of its score models, from coarse to fine; empty where it has none."""

    networks: list[NetworkCost]
    milliseconds: float
    """Of drawing an image, on one device."""

    batch_size: int
    device: str
    values: dict[str, float]
    """By metric."""

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
        """10^9 multiply-adds of an image, over all networks."""
        return sum(network.multiply_adds for network in self.networks) / 1e9

    @property
    def key(self) -> str:
        """What rows must differ in to be two rows."""
        return _key(self.conditions, self.steps)


class _Run(NamedTuple):
    """What a checkpoint says of the run that wrote it."""

    path: Path
    name: str
    images_seen: int | None
    config: dict[str, Any]


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
    stderr as they come.

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
        ValueError: If a value makes no sense, if the systems were trained on different data, or if
            there is no matplotlib to draw with.
    """
    _check_least(
        images=images,
        batch_size=batch_size,
        devices=devices,
        reference_images=1 if reference_images is None else reference_images,
    )
    figure = None if plot is None else empty_figure(11, 4)
    runs = _runs([Path(path) for path in checkpoints])
    data = _data(runs, images, batch_size)
    systems = {run.name: load(run.path) for run in runs}
    settings = _settings(systems, steps)
    bench = _Bench(
        data, metrics or [_default_metric(data)], reference_images, seed, accelerator, devices
    )
    # All processes read it before the first row is written, for which they are all needed.
    known = {} if out is None else _read(Path(out))
    rows: list[Row] = []
    for run in runs:
        for row in bench.rows(run, systems[run.name], settings[run.name], known):
            rows.append(row)
            known[row.key] = row
            if out is not None:
                _write(Path(out), list(known.values()))
    if figure is not None and plot is not None:
        _draw(figure, rows, Path(plot))
    return _report(rows)


# --- measuring ---


class _Bench:
    """Where every system is measured in the same way.

    Args:
        data: Real images, and the numbers of those to draw.
        metrics: What to measure.
        reference_images: How many real images to measure; none takes all.
        seed: The seed of the set of images.
        accelerator: Where to draw, in Lightning's words.
        devices: How many of them.

    Raises:
        FileNotFoundError: If a metric's weights are missing.
        ValueError: If there are no such devices.
    """

    def __init__(
        self,
        data: WaveletDataModule,
        metrics: list[ImageMetric],
        reference_images: int | None,
        seed: int,
        accelerator: str,
        devices: int,
    ) -> None:
        self.data = data
        self.seed = seed
        for metric in metrics:
            # Only then does it know the identity of its weights.
            metric.prepare()
        self.conditions = {
            "data": data.fingerprint,
            "images": data.val_images,
            "reference_images": reference_images,
            "seed": seed,
            "metrics": [f"{type(metric).__name__}: {metric.identity}" for metric in metrics],
        }
        self._evaluation = Evaluation(metrics, reference_images)
        self._stopwatch = _Stopwatch()
        try:
            self._trainer = Trainer(
                accelerator=accelerator,
                devices=devices,
                # The time is taken before anything is measured.
                callbacks=[self._stopwatch, self._evaluation],
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=sys.stderr.isatty(),
                use_distributed_sampler=False,
            )
        except MisconfigurationException as error:
            raise ValueError(str(error)) from error

    def rows(
        self,
        run: _Run,
        system: ImageGenerator,
        settings: list[list[int]],
        known: Mapping[str, Row],
    ) -> Iterator[Row]:
        """Measure a system at each setting of its steps, unless that is known, and tell it."""
        conditions = self.conditions | {
            "weights": digest(system),
            # The same weights may draw with another sampler.
            "model": _digest(run.config["model"]),
        }
        # A system is counted before a Trainer has it.
        costs = {
            tuple(each): _counted(system, each)
            for each in settings
            if _key(conditions, each) not in known
        }
        for each in settings:
            if tuple(each) in costs:
                row = self._measure(run, system, each, costs[tuple(each)], conditions)
                _tell(_line(row))
            else:
                measured = known[_key(conditions, each)]
                row = measured._replace(system=run.name, images_seen=run.images_seen)
                _tell(f"{_line(row)} (measured before)")
            yield row

    def _measure(
        self,
        run: _Run,
        system: ImageGenerator,
        steps: list[int],
        networks: list[NetworkCost],
        conditions: dict[str, Any],
    ) -> Row:
        _take_steps(system, steps)
        system.seed = self.seed
        # Evaluation tells it beside the values.
        system.images_seen = run.images_seen or 0
        # What is printed is the table alone.
        with redirect_stdout(sys.stderr):
            L.Trainer.validate(self._trainer, system, datamodule=self.data, verbose=False)
        evaluation, count = self._evaluation, short_count(self.data.val_images)
        values = evaluation.history[-1][1]
        return Row(
            run.name,
            run.images_seen,
            steps,
            networks,
            self._stopwatch.milliseconds,
            self.data.eval_batch_size,
            device_name(self._trainer.strategy.root_device),
            {
                name.removeprefix("val/").removesuffix(count): value
                for name, value in values.items()
            },
            dict(evaluation.held_out),
            min(self.data.held_out_images, self.data.val_images),
            conditions,
        )


class _Stopwatch(L.Callback):
    """Takes the time of each batch that is drawn, until the device has done it."""

    def __init__(self) -> None:
        self._batches: list[tuple[int, float]] = []
        self._begun = 0.0

    @property
    def milliseconds(self) -> float:
        """Of one image, by all batches but the first, which also warms up; by that if it is alone."""
        batches = self._batches[1:] or self._batches
        return 1e3 * sum(time for _, time in batches) / sum(images for images, _ in batches)

    @override
    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._batches = []

    @override
    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        wait_for(pl_module.device)
        self._begun = perf_counter()

    @override
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        wait_for(pl_module.device)
        self._batches.append((len(outputs["image"]), perf_counter() - self._begun))


def _counted(system: ImageGenerator, steps: list[int]) -> list[NetworkCost]:
    _take_steps(system, steps)
    return cost(system)


def _take_steps(system: ImageGenerator, steps: list[int]) -> None:
    for model, number in zip(_score_models(system), steps, strict=True):
        model.take_steps(number)


def _score_models(system: ImageGenerator) -> list[ScoreModel]:
    return [model for model in system.factor_models() if isinstance(model, ScoreModel)]


def _default_metric(data: WaveletDataModule) -> ImageMetric:
    return FieldDistance() if data.value_range is None else FrechetWaveletDistance()


# --- who takes part, and in what ---


def _check_least(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} is at least 1, not {number}")


def _runs(paths: list[Path]) -> list[_Run]:
    if not paths:
        raise ValueError("there are no checkpoints to compare")
    return [_run(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def _run(path: Path, name: str) -> _Run:
    import yaml

    text = config_text(path)
    if not text:
        raise ValueError(
            f"{path} holds no configuration, as checkpoints of the command line do, so that nothing tells on what "
            "data it was trained"
        )
    # Joined, converted and exported files count from 0.
    progress = read_checkpoint(path, mapped=True)[PROGRESS_KEY] if holds_run(path) else {}
    return _Run(path, name, progress.get("images_seen"), yaml.safe_load(text))


def _names(paths: list[Path]) -> list[str]:
    """Return the names of the runs' folders, or as much of the paths as tells them apart."""
    runs = [
        path.parent.parent.name if path.parent.name == "checkpoints" else path.stem
        for path in map(Path.absolute, paths)
    ]
    files = [f"{run}/{path.stem}" for run, path in zip(runs, paths, strict=True)]
    for names in (runs, files, list(map(str, paths))):
        if len(set(names)) == len(names):
            return names
    twice = next(path for path in paths if paths.count(path) > 1)
    raise ValueError(f"{twice} is named twice")


def _data(runs: list[_Run], images: int, batch_size: int) -> WaveletDataModule:
    """Return the data that all were trained on, with other numbers of images to draw."""
    changes = {"val_images": images, "eval_batch_size": batch_size}
    options = [data_options(run.path, run.config, changes) for run in runs]
    sections = [{name: each.data.as_dict()[name] for name in _SAME_DATA} for each in options]
    for run, section in zip(runs, sections, strict=True):
        difference = first_difference(sections[0], section, "data")
        if difference is not None:
            raise ValueError(
                f"{runs[0].path} and {run.path} were trained on different data: {difference}"
            )
    return build_data(options[0])


def _settings(
    systems: Mapping[str, ImageGenerator], steps: list[int | list[int]] | None
) -> dict[str, list[list[int]]]:
    """Return for each system the steps of its score models, setting by setting."""
    own = {
        name: [model.steps for model in _score_models(system)] for name, system in systems.items()
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


def _digest(section: Any) -> str:
    return hashlib.sha256(json.dumps(section, sort_keys=True).encode()).hexdigest()[:16]


# --- files ---


def _key(conditions: dict[str, Any], steps: list[int]) -> str:
    return json.dumps([conditions, steps], sort_keys=True)


def _read(path: Path) -> dict[str, Row]:
    """Return the rows of a file, by what tells them apart; none where there is no file yet."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text())["rows"]
        rows = [
            Row(**entry | {"networks": [NetworkCost(**each) for each in entry["networks"]]})
            for entry in entries
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no comparison; name another file") from error
    return {row.key: row for row in rows}


@rank_zero_only
def _write(path: Path, rows: list[Row]) -> None:
    entries = [
        row._asdict() | {"networks": [network._asdict() for network in row.networks]}
        for row in rows
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whoever stops the command must not lose the rows that are there.
    draft = path.with_name(f"{path.name}.part")
    draft.write_text(json.dumps({"rows": entries}, indent=1) + "\n")
    draft.replace(path)


# --- what is shown ---


@rank_zero_only
def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _line(row: Row) -> str:
    values = "  ".join(f"{name} {value:.4g}" for name, value in row.values.items())
    return f"{row.system}, steps {_steps(row)}: {values}  {row.milliseconds:.4g} ms an image"


def _steps(row: Row) -> str:
    taken = row.taken[:1] if row.alike else row.taken
    return " + ".join(map(str, taken))


@rank_zero_only
def _report(rows: list[Row]) -> str:
    """Return the conditions and the table, as Markdown."""
    conditions, floor = rows[0].conditions, _floor(rows[0])
    real = conditions["reference_images"]
    where = dict.fromkeys(f"{row.device}, {row.batch_size} at once" for row in rows)
    caption = (
        f"{conditions['images']:,} images of seed {conditions['seed']} a row, against "
        f"{'all' if real is None else f'{real:,}'} real images of the training part.{floor}"
    )
    legend = [line.format(where="; ".join(where)) for line in _LEGEND]
    return "\n".join([caption, *legend, "", *markdown_table([_cells(row) for row in rows])])


def _floor(row: Row) -> str:
    if not row.held_out:
        return ""
    values = "  ".join(f"{name} {value:.4g}" for name, value in row.held_out.items())
    fewer = ", fewer than are drawn" if row.held_out_images < row.conditions["images"] else ""
    return f" Held-out real images ({row.held_out_images:,}{fewer}): {values}."


def _cells(row: Row) -> dict[str, str]:
    return {
        "system": row.system,
        "images seen": "-" if row.images_seen is None else f"{row.images_seen:,}",
        "steps": _steps(row),
        "NFE": " + ".join(str(network.evaluations) for network in row.networks),
        "GMAC": f"{row.gigamacs:.4g}",
        "ms": f"{row.milliseconds:.4g}",
    } | {name: f"{value:.4g}" for name, value in row.values.items()}


@rank_zero_only
def _draw(figure: "Figure", rows: list[Row], path: Path) -> None:
    """Draw each metric against steps and against multiply-adds, a curve a system."""
    from matplotlib.ticker import LogLocator, NullFormatter

    names = list(rows[0].values)
    figure.set_size_inches(11, 3.6 * len(names))
    grid = figure.subplots(len(names), 2, sharey="row", squeeze=False)
    taken = sorted({row.mean_steps for row in rows})
    for name, (against_steps, against_cost) in zip(names, grid, strict=True):
        _draw_curves(against_steps, rows, name, [row.mean_steps for row in rows])
        against_steps.set_xticks(taken, [f"{number:.3g}" for number in taken])
        against_steps.set_xticks([], minor=True)
        alike = all(row.alike for row in rows)
        against_steps.set_xlabel("steps" if alike else "steps at a scale, mean")
        against_steps.set_ylabel(f"{name}, {rows[0].conditions['images']:,} images")
        _draw_curves(against_cost, rows, name, [row.gigamacs for row in rows])
        against_cost.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        against_cost.xaxis.set_major_formatter("{x:g}")
        against_cost.xaxis.set_minor_formatter(NullFormatter())
        against_cost.set_xlabel("GMAC an image")
    grid[0, 1].legend(loc="upper left", bbox_to_anchor=(1.02, 1))
    save_figure(figure, path)


def _draw_curves(axes: "Axes", rows: list[Row], metric: str, places: list[float]) -> None:
    """Draw a curve a system, and points apart from it where steps differ between its scales."""
    floor = rows[0].held_out.get(metric)
    shown = [row.values[metric] for row in rows] + ([] if floor is None else [floor])
    axes.set_xscale("log")
    # Some metrics reach 0 and below.
    if min(shown) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    for number, system in enumerate(dict.fromkeys(row.system for row in rows)):
        for alike, style, ending in ((True, "-o", ""), (False, "D", ", steps by scale")):
            points = sorted(
                (place, row.values[metric])
                for place, row in zip(places, rows, strict=True)
                if row.system == system and row.alike == alike
            )
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    style,
                    color=f"C{number}",
                    markerfacecolor=f"C{number}" if alike else "none",
                    label=system + ending,
                )
    if floor is not None:
        label = f"held-out real images ({rows[0].held_out_images:,})"
        axes.axhline(floor, linestyle="--", color="gray", label=label)
    axes.grid(alpha=0.3, which="both")
