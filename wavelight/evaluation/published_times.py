"""Sampling times that papers print."""

from wavelight.evaluation.results.published import published_tables, single_image_times


def published_seconds(experiment: str) -> tuple[float | None, float | None]:
    """Return the seconds of one image and of a batch on one A100; None where none is published.

    Args:
        experiment: The name of one that comes with the package, such as ``church_ddgan``.
    """
    image = (row.seconds for row in single_image_times() if row.experiment == experiment)
    rows = (row for table in published_tables() for row in table.rows)
    batch = (row.seconds for row in rows if row.experiment == experiment)
    return next(image, None), next(batch, None)


def published_batch(image_size: int) -> int:
    """Return the batch of published times: 100 images, but 25 of 512 pixels and more."""
    return 25 if image_size >= 512 else 100
