"""A dashboard of Weights & Biases in which the runs of a project are compared: its filter, table and plots."""

from typing import TYPE_CHECKING

from wavelight.callbacks.evaluation import short_count
from wavelight.support.errors import check_least
from wavelight.support.wandb_server import why_no_server

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import RunsetSettings, Section, Workspace

_MOST_RUNS = 100
"""A plot shows 10 by W&B's own rule, fewer than five systems have with three seeds."""

_RECALL = "recall"
"""Measured beside FID, from the same features."""


class MeasuredNames:
    """The names under which runs log a metric, and recall beside FID, counts included, such as ``test/fid50k``.

    Args:
        metric: The metric, without its count; low is good.
        val_images: How many images the runs' validations sample.
        test_images: How many images their tests sample.

    Raises:
        ValueError: If a number of images is below 1.
    """

    def __init__(self, metric: str, val_images: int, test_images: int) -> None:
        check_least({"val_images": (val_images, 1), "test_images": (test_images, 1)})
        self.metric = metric
        names = [metric, _RECALL] if metric == "fid" else [metric]
        self.in_validation = [f"val/{name}{short_count(val_images)}" for name in names]
        self.in_test = [f"test/{name}{short_count(test_images)}" for name in names]

    @property
    def best_validation(self) -> str:
        """The summary's key of the best value that a validation has measured."""
        return f"best/{self.in_validation[0]}"

    @property
    def tests(self) -> list[str]:
        """The summary's keys of what the last test has measured, the metric that orders first."""
        return [f"{name}.last" for name in self.in_test]


def dashboard_of(
    entity: str, project: str, dataset: str | None, names: MeasuredNames
) -> "Workspace":
    """Build a dashboard, without login and without network.

    Args:
        entity: The user or team whose project it is.
        project: The project of the runs.
        dataset: The data set of the runs to compare; none takes all.
        names: What is compared.

    Returns:
        A workspace of the package wandb-workspaces, whose ``save`` brings it to W&B.

    Raises:
        ValueError: If the package is not installed.
    """
    try:
        from wandb_workspaces.workspaces import Workspace, WorkspaceSettings
    except ImportError as error:
        raise ValueError(
            "dashboard needs the package wandb-workspaces: pip install 'wavelight[dashboard]'"
        ) from error
    return Workspace(
        entity=entity,
        project=project,
        name=f"Baselines on {dataset}" if dataset else "Baselines",
        sections=[_learning(names), _cost(names), _samples(), _losses()],
        settings=WorkspaceSettings(x_axis="images_seen", max_runs=_MOST_RUNS),
        runset_settings=_runs(dataset, names),
    )


def _runs(dataset: str | None, names: MeasuredNames) -> "RunsetSettings":
    """Return which runs are compared, in which groups and order, and the columns of their table."""
    from wandb_workspaces.expr import And, Config, Metric, Ordering, Summary
    from wandb_workspaces.workspaces import RunsetSettings

    filters = [Metric("JobType") == "train"]
    if dataset:
        # As W&B keeps it, which the package completes in groups and in plots, but not in filters.
        filters.append(Config("dataset.value") == dataset)
    columns = [
        *("system", "dataset", "seed"),
        *("cost/nfe", "cost/gmacs", "cost/parameters", "published/fid", "published/recall"),
    ]
    values = [*names.tests, names.best_validation, "device_hours"]
    return RunsetSettings(
        filters=And(*filters),
        # Ablations of one class are groups of their own.
        groupby=[Config("system"), Metric("Group")],
        order=[Ordering(Summary(name)) for name in (names.tests[0], names.best_validation)],
        pinned_columns=[
            *(f"config:{name}.value" for name in columns),
            *(f"summary:{name}" for name in values),
        ],
    )


def _learning(names: MeasuredNames) -> "Section":
    from wandb_workspaces.reports.v2 import LinePlot

    axes = {"images_seen": "images seen", "device_hours": "device hours"}
    panels = [
        LinePlot(
            title=f"{name} against {title}",
            x=axis,
            y=[name],
            title_x=title,
            title_y=name,
            range_y=(0, 1) if _RECALL in name else (None, None),
        )
        for name in names.in_validation
        for axis, title in axes.items()
    ]
    return _section("quality while learning", panels, columns=len(axes))


def _cost(names: MeasuredNames) -> "Section":
    from wandb_workspaces.reports.v2 import Config, ScatterPlot, SummaryMetric

    measured, published = names.tests[0], f"published/{names.metric}"
    costs = {"cost/nfe": "NFE", "cost/gmacs": "GMACs"}
    panels = [
        ScatterPlot(title=f"{title} against {cost}", x=Config(name), y=y, log_x=True)
        for name, cost in costs.items()
        for title, y in (
            (f"{names.in_test[0]}, measured,", SummaryMetric(measured)),
            (f"{names.metric}, published,", Config(published)),
        )
    ]
    return _section("quality against cost", panels, columns=2)


def _samples() -> "Section":
    from wandb_workspaces.reports.v2 import MediaBrowser

    grids = MediaBrowser(
        title="Samples at the same seed: a column a run, a row an evaluation",
        media_keys=["samples"],
        mode="grid",
        grid_x_axis="run",
        grid_y_axis="step",
    )
    return _section("samples", [grids], columns=1)


def _losses() -> "Section":
    from wandb_workspaces.reports.v2 import LinePlot

    losses = LinePlot(
        title="losses", x="images_seen", metric_regex="^train/", title_x="images seen"
    )
    return _section("losses", [losses], columns=1)


def _section(name: str, panels: list, columns: int) -> "Section":
    from wandb_workspaces.workspaces import Section, SectionLayoutSettings

    layout = SectionLayoutSettings(columns=columns, rows=2)
    return Section(name=name, panels=panels, is_open=True, layout_settings=layout)


def save_dashboard(dashboard: "Workspace") -> str:
    """Save a dashboard as a new view of its project, and return its address.

    Args:
        dashboard: As :func:`dashboard_of` built it.

    Raises:
        ValueError: If W&B has no key of the user's, does not answer, or refuses, in one sentence.
    """
    reason = why_no_server()
    if reason is not None:
        raise ValueError(f"saving a dashboard needs W&B, but {reason}: --dry_run prints it without")
    try:
        dashboard.save()
    # Whatever the server does, the client raises many kinds, and nothing else runs here.
    except Exception as error:
        raise ValueError(
            f"W&B did not take a dashboard for {dashboard.entity}/{dashboard.project}, for ENTITY and --project: "
            f"{' '.join(str(error).split())}"
        ) from error
    return dashboard.url
