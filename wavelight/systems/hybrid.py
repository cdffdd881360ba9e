"""The hybrid: a score model of the coarsest band, and details that one evaluation a level draws."""

from pathlib import Path

from lightning.pytorch.cli import LRSchedulerCallable

from wavelight.factorizations import BandScaling, LevelByLevel, Pyramid
from wavelight.models import GenerativeModel
from wavelight.systems.base import ImageGenerator


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
        pyramid: In place of levels, wavelet and scaling, another pyramid that has them itself:
            ``LaplacianPyramid``, whose residuals have the channels of the images and not three bands.
        channels: Channels of the images.
        scheduler: Makes the schedule of every learning rate, stepped once an epoch; none keeps them.
        train: Indices of the factors that learn, 0 for the coarsest band, 1 for the details of the
            coarsest level, and so on; none means all.
        accumulate: Into how many parts each device's share of a batch is cut to save memory.
        clip_gradients: Largest norm of a player's gradient; none does not clip.
        bounded: Whether pixels lie in [-1, 1], so that drawn images are clamped there.
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
        levels: int | None = None,
        wavelet: str = "haar",
        scaling: BandScaling | None = None,
        pyramid: LevelByLevel | None = None,
        channels: int = 3,
        scheduler: LRSchedulerCallable | None = None,
        train: list[int] | None = None,
        accumulate: int = 1,
        clip_gradients: float | None = None,
        bounded: bool = True,
        start_from: Path | None = None,
    ) -> None:
        if pyramid is None:
            if levels is None:
                raise ValueError(
                    "a Hybrid needs levels, the number of times that the image is halved, or a pyramid"
                )
            pyramid = Pyramid(levels, wavelet, scaling, channels)
        elif (levels, wavelet, scaling) != (None, "haar", None):
            raise ValueError(
                "give either a pyramid, or levels, wavelet and scaling: a pyramid has them itself"
            )
        if len(details) not in (1, pyramid.levels):
            raise ValueError(
                f"details names {len(details)} models for {pyramid.levels} levels: give one that all levels share, or "
                "one a level"
            )
        of_levels = details * pyramid.levels if len(details) == 1 else details
        super().__init__(
            factorization=pyramid,
            models=[coarse, *of_levels],
            image_size=image_size,
            seed=seed,
            channels=channels,
            scheduler=scheduler,
            train=train,
            accumulate=accumulate,
            clip_gradients=clip_gradients,
            bounded=bounded,
            start_from=start_from,
        )
