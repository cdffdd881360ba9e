"""The hybrid: a score model of the coarsest band, and details that one evaluation a level samples."""

from pathlib import Path
from typing import Protocol

from lightning.pytorch.cli import LRSchedulerCallable

from wavelight.factorizations.pyramids import LevelByLevel, Pyramid
from wavelight.factorizations.scaling import BandScaling
from wavelight.models import GenerativeModel
from wavelight.systems.base import ImageGenerator


class PyramidFactory(Protocol):
    """Makes a pyramid; in YAML the name of its class, ``LaplacianPyramid``."""

    def __call__(self, levels: int, scaling: BandScaling | None, channels: int) -> LevelByLevel:
        """Make a pyramid of so many levels, whose bands are scaled so, for images of so many channels."""
        ...


class Hybrid(ImageGenerator):
    """Any model of the coarsest band with any models of the details, such as WMGM's (Xiao et al., 2024).

    With score models of the details it is WSGM; the two differ in nothing else.

    Args:
        coarse: The model of the coarsest band, a score model as published.
        details: Models of the details: one that all levels share, as published, or one a level, the
            coarsest level's first. A network sees three bands, and the coarse band of its level as its
            condition.
        image_size: Side of the images, in pixels; on the command line it follows the data's.
        seed: Seed of all noise; on the command line it follows ``seed_everything``.
        levels: How often the image is halved.
        wavelet: The wavelet, by PyWavelets' name.
        scaling: How bands are scaled: ``PerChannel`` (the default, as in WSGM), or one that keeps
            them in [-1, 1], for a generator that ends in tanh: ``Half`` for Haar, ``Peak`` for any
            wavelet.
        pyramid: A pyramid in place of the wavelet's, which levels, scaling and channels are handed to:
            ``LaplacianPyramid``, whose residuals have the side and the channels of what they complete,
            and so want other details.
        channels: Channels of the images.
        scheduler: Makes the schedule of every learning rate, stepped once an epoch; none keeps them.
        train: Indices of the factors that learn, 0 for the coarsest band, 1 for the details of the
            coarsest level, and so on; none means all.
        accumulate_grad_batches: Into how many parts each device's share of a batch is cut to save memory.
        gradient_clip_val: Largest norm of a player's gradient; none does not clip.
        bounded: Whether pixels lie in [-1, 1], so that generated images are clamped there.
        start_from: Weights that a new run starts from (fine-tuning).

    Raises:
        ValueError: If the parts do not go together, in one sentence that says which.
    """

    def __init__(
        self,
        coarse: GenerativeModel,
        details: list[GenerativeModel],
        image_size: int,
        seed: int,
        levels: int,
        wavelet: str = "haar",
        scaling: BandScaling | None = None,
        pyramid: PyramidFactory | None = None,
        channels: int = 3,
        scheduler: LRSchedulerCallable | None = None,
        train: list[int] | None = None,
        accumulate_grad_batches: int = 1,
        gradient_clip_val: float | None = None,
        bounded: bool = True,
        start_from: Path | None = None,
    ) -> None:
        if pyramid is not None and wavelet != "haar":
            raise ValueError(
                f"give either a pyramid or the wavelet {wavelet!r}: a pyramid has its own filters"
            )
        factorization = (
            Pyramid(levels, wavelet, scaling, channels)
            if pyramid is None
            else pyramid(levels=levels, scaling=scaling, channels=channels)
        )
        if len(details) not in (1, levels):
            raise ValueError(
                f"details names {len(details)} models for {levels} levels: give one that all levels share, or "
                "one a level"
            )
        of_levels = details * levels if len(details) == 1 else details
        super().__init__(
            factorization=factorization,
            models=[coarse, *of_levels],
            image_size=image_size,
            seed=seed,
            channels=channels,
            scheduler=scheduler,
            train=train,
            accumulate_grad_batches=accumulate_grad_batches,
            gradient_clip_val=gradient_clip_val,
            bounded=bounded,
            start_from=start_from,
        )
