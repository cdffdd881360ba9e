"""Which way a metric is better, by its name."""

import re

_SHARES = {"precision", "recall", "density", "coverage"}
"""Shares of images, from 0 to 1; density alone may be above (Naeem et al., 2020)."""

_HIGHER = _SHARES | {"psnr", "ssim"}
_INCEPTION_SCORE = re.compile(r"inception_score(\d|$)")


def is_share(metric: str) -> bool:
    """Tell whether a metric's values are shares, to be read on an axis from 0 to 1.

    Args:
        metric: Its name, such as ``recall`` or ``features_recall``, or as logs have it, ``test/recall50k``.
    """
    return not _SHARES.isdisjoint(_words(metric))


def higher_is_better(metric: str) -> bool:
    """Tell whether a metric is to be high; distances, as all others are, are to be low.

    >>> [higher_is_better(name) for name in ("fid", "test/recall50k", "features_recall", "val/inception_score10k")]
    [False, True, True, True]
    >>> higher_is_better("frechet_inception"), higher_is_better("inception_score_std10k")
    (False, False)

    Args:
        metric: Its name, with or without the stage before it and the number of images behind it.
    """
    return not _HIGHER.isdisjoint(_words(metric)) or bool(_INCEPTION_SCORE.search(metric))


def arrow(metric: str) -> str:
    """Return the arrow that points to better values."""
    return "↑" if higher_is_better(metric) else "↓"


def best_of(metric: str) -> str:
    """Return ``max`` for a metric of which more is better, ``min`` for all others."""
    return "max" if higher_is_better(metric) else "min"


def _words(metric: str) -> list[str]:
    return re.findall("[a-z]+", metric)
