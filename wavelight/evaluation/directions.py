"""Which way a metric is better, by its name."""

_SHARES = {"precision", "recall", "density", "coverage"}
"""Shares of images, from 0 to 1; density alone may be above (Naeem et al., 2020)."""

_HIGHER = _SHARES | {"inception"}


def is_share(metric: str) -> bool:
    """Tell whether a metric's values are shares, to be read on an axis from 0 to 1.

    Args:
        metric: Its name, such as ``recall`` or ``features_recall``, without a number of images.
    """
    return not _SHARES.isdisjoint(metric.split("_"))


def higher_is_better(metric: str) -> bool:
    """Tell whether a metric is to be high; distances, as all others are, are to be low.

    >>> [higher_is_better(name) for name in ("fid", "features_recall", "inception_score")]
    [False, True, True]

    Args:
        metric: Its name, without a number of images.
    """
    return not _HIGHER.isdisjoint(metric.split("_"))


def arrow(metric: str) -> str:
    """Return the arrow that points to better values."""
    return "↑" if higher_is_better(metric) else "↓"
