"""Which way is better: most metrics are distances, and some are shares."""

_HIGHER_IS_BETTER = {
    "precision",
    "recall",
    "density",
    "coverage",
    "inception_score",
    "psnr",
    "ssim",
}


def higher_is_better(metric: str) -> bool:
    """Return whether more of a metric is better.

    >>> higher_is_better("test/recall50k"), higher_is_better("val/fid10k")
    (True, False)

    Args:
        metric: Its name in logs, with or without the stage before it and the count behind it.
    """
    name = metric.rpartition("/")[2]
    return any(name.startswith(each) for each in _HIGHER_IS_BETTER)


def best_of(metric: str) -> str:
    """Return ``max`` for a metric of which more is better, ``min`` for all others.

    Args:
        metric: Its name in logs.
    """
    return "max" if higher_is_better(metric) else "min"
