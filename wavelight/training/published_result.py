"""What a paper reports of an experiment, as part of its configuration."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedResult:
    """Numbers to compare a run with, in W&B and in tables; nothing depends on them.

    Args:
        fid: FID of 50,000 images.
        recall: Improved recall of as many, in [0, 1].
        source: The paper, and where in it.
    """

    fid: float | None = None
    recall: float | None = None
    source: str | None = None
