"""The hybrid: a score model of the coarsest LL, and details that one evaluation a level generates."""

from typing import Protocol, Unpack

from wavelight.factorizations import BandScaling, LevelByLevel, Pyramid
from wavelight.models import ModelFactory
from wavelight.systems.base import ImageGenerator, SystemOptions, one_a_level


class PyramidFactory(Protocol):
    """Makes a pyramid; in YAML the name of its class, ``LaplacianPyramid``."""

    def __call__(
        self,
        levels: int,
        scaling: BandScaling | None,
        channels: int,
        detail_scaling: BandScaling | None,
    ) -> LevelByLevel:
        """Make a pyramid of so many levels, whose bands are scaled so, for images of so many channels."""
        ...


class Hybrid(ImageGenerator):
    """Any model of the coarsest LL with any models of the details, such as WMGM's (Xiao et al., 2024).

    With score models of the details it is WSGM; the two differ in nothing else.

    Args:
        coarse: The model of the coarsest LL, a score model as published.
        details: The model of the details given LL: one that is built anew for each level, or a list with
            one for each level, the coarsest first.
        levels: How often the image is halved.
        share_details: Whether all levels share one model of the details, as published, which is
            built for the coarsest.
        wavelet: The wavelet, by PyWavelets' name.
        scaling: How bands are scaled: ``PerChannel`` (the default, as in WSGM), or one that keeps
            them in [-1, 1], for a generator that ends in tanh: ``Half`` for Haar, ``Peak`` for any
            wavelet.
        pyramid: A pyramid in place of the wavelet's, which levels, scalings and channels are handed to:
            ``LaplacianPyramid``.
        detail_scaling: How details are scaled, where it is not as LL is: ``Eigenbasis``, in which white noise has
            their colours.
        **options: Those of every system.

    Raises:
        ValueError: If the parts do not go together, in one sentence that says which.
    """

    def __init__(
        self,
        coarse: ModelFactory,
        # The list first, or it would not be written into checkpoints; an option of one model makes a list of one.
        details: list[ModelFactory] | ModelFactory,
        levels: int,
        share_details: bool = False,
        wavelet: str = "haar",
        scaling: BandScaling | None = None,
        pyramid: PyramidFactory | None = None,
        detail_scaling: BandScaling | None = None,
        **options: Unpack[SystemOptions],
    ) -> None:
        if pyramid is not None and wavelet != "haar":
            raise ValueError(
                f"wavelet must be left out where pyramid is given, which has its own filters, got {wavelet!r}"
            )
        channels = options.get("channels", 3)
        factorization = (
            Pyramid(levels, wavelet, scaling, channels, detail_scaling)
            if pyramid is None
            else pyramid(
                levels=levels, scaling=scaling, channels=channels, detail_scaling=detail_scaling
            )
        )
        of_levels = one_a_level(details, levels, share_details)
        super().__init__(factorization=factorization, models=[coarse, *of_levels], **options)
