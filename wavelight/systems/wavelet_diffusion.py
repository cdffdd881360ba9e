"""Wavelet diffusion: any model of all sub-bands of an image together."""

from typing import Unpack

from wavelight.factorizations.scaling import BandScaling, PerChannel
from wavelight.factorizations.subbands import Subbands
from wavelight.models import ModelFactory
from wavelight.systems.base import ImageGenerator, SystemOptions
from wavelight.wavelets import BandOrder


class WaveletDiffusion(ImageGenerator):
    """A model of the sub-bands that WaveDiff samples (Phung, Dao and Tran, 2023), with no game of its own.

    With ``DistributionalDiffusion`` it is a WaveDiff without a discriminator: as few steps, each of which samples clean
    sub-bands, learnt by a proper scoring rule. With ``DenoisingGAN`` it is WaveDiff.

    Args:
        model: The model of the sub-bands.
        levels: How often the wavelet halves the image: there are ``4**levels * channels`` sub-bands of the image's side
            divided by ``2**levels``.
        wavelet: The wavelet of the sub-bands, by PyWavelets' name.
        scaling: How bands are scaled: ``PerChannel`` (the default), to unit variance, or for a generator that ends in
            tanh ``Half`` as WaveDiff's.
        **options: Those of every system.
    """

    def __init__(
        self,
        model: ModelFactory,
        levels: int = 1,
        wavelet: str = "haar",
        scaling: BandScaling | None = None,
        **options: Unpack[SystemOptions],
    ) -> None:
        factorization = Subbands(
            wavelet,
            BandOrder.PYTORCH_WAVELETS,
            scaling or PerChannel(),
            options.get("channels", 3),
            levels,
        )
        super().__init__(factorization=factorization, models=[model], **options)
