"""``wavelight dashboard``: a dashboard at Weights & Biases that compares runs."""

from wavelight.evaluation.dashboard import MeasuredNames, dashboard_of, save_dashboard
from wavelight.support.private_names import workspace_spec


def dashboard(
    entity: str,
    project: str = "wavelight",
    dataset: str | None = None,
    metric: str = "fid",
    val_images: int = 10_000,
    test_images: int = 50_000,
    dry_run: bool = False,
) -> str:
    """Make a dashboard at W&B in which the runs of a project are compared.

    Runs are grouped by system, and ordered by the metric of their last test. Beside the table of cost, published
    and measured numbers there are plots: quality against images seen and against device hours, quality against
    cost, samples at the same seed side by side, and losses. It is a view that is saved in the project, and
    changes nothing of the runs; each call makes a new one. It needs the package wandb-workspaces.

    Args:
        entity: The user or team at W&B whose project it is.
        project: The project of the runs.
        dataset: The data set of the runs to compare, such as church; by default all.
        metric: The metric that orders the runs, such as fid, which recall stands beside, or fwd, which small
            experiments measure; low is good.
        val_images: How many images the runs' validations sample, which is part of their metrics' names.
        test_images: How many images the runs' tests sample.
        dry_run: Whether nothing is saved, and the dashboard is printed as JSON, without login and without network.

    Raises:
        ValueError: If the package is missing, a number is below 1, or W&B has no key of yours or does not answer.
    """
    found = dashboard_of(entity, project, dataset, MeasuredNames(metric, val_images, test_images))
    return workspace_spec(found) if dry_run else save_dashboard(found)
