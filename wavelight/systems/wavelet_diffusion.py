"""Wavelet diffusion: any model of all sub-bands at once, such as WaveDiff without its game."""

from typing import Unpack

from wavelight.factorizations import BandScaling, PerChannel, Subbands
from wavelight.models import ModelFactory
from wavelight.systems.base import ImageGenerator, SystemOptions


class WaveletDiffusion(ImageGenerator):
    """WaveDiff's factorization (Phung, Dao and Tran, 2023), whose sub-bands are learnt by a model of your choice.

    WaveDiff learns each of its steps by a game against a discriminator, of bands in [-1, 1]. Here bands are
    standardised, and the model is one of :mod:`wavelight.models` that has no game: a score model sampled in a few
    steps, MeanFlow, or distributional diffusion.

    Args:
        model: The model of the sub-bands: ``4**levels * channels`` of them at the image's side divided by
            ``2**levels``.
        wavelet: The wavelet of the sub-bands, by PyWavelets' name.
        levels: How often the wavelet halves the image.
        scaling: How bands are scaled; none standardises each channel (``PerChannel``).
        **options: Those of every system.
    """

    def __init__(
        self,
        model: ModelFactory,
        wavelet: str = "haar",
        levels: int = 1,
        scaling: BandScaling | None = None,
        **options: Unpack[SystemOptions],
    ) -> None:
        super().__init__(
            factorization=Subbands(
                wavelet,
                scaling=scaling or PerChannel(),
                channels=options.get("channels", 3),
                levels=levels,
            ),
            models=[model],
            **options,
        )
