"""WSGM: a score model of LL, and one of the details of each scale given the LL that they refine."""

from typing import Unpack

from wavelight.factorizations import BandScaling, Pyramid
from wavelight.models import ModelFactory
from wavelight.systems.base import ImageGenerator, SystemOptions, one_a_level


class WSGM(ImageGenerator):
    """Wavelet score-based generative modelling (Guth, Coste, De Bortoli and Mallat, 2022).

    Args:
        coarse: The score model of the coarsest LL.
        details: The score model of the details given LL: one that is built anew for each level, or a list
            with one for each level, the coarsest first.
        levels: How often the image is halved.
        wavelet: The wavelet, by PyWavelets' name.
        scaling: How bands are scaled: ``PerChannel`` (the default, as in the published code) or
            ``Scalar`` (one number a band, as in the paper's theory).
        detail_scaling: How details are scaled, where it is not as LL is.
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
        wavelet: str = "haar",
        scaling: BandScaling | None = None,
        detail_scaling: BandScaling | None = None,
        **options: Unpack[SystemOptions],
    ) -> None:
        super().__init__(
            factorization=Pyramid(
                levels, wavelet, scaling, options.get("channels", 3), detail_scaling
            ),
            models=[coarse, *one_a_level(details, levels)],
            **options,
        )
