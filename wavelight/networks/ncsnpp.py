"""NCSN++ as a generator (Song et al. 2021; Xiao et al. 2022): of DDGAN and plain WaveDiff."""

from collections.abc import Sequence

from torch import nn

from wavelight.factors import FactorShape
from wavelight.networks.resampling import FilteredConvolutionDown
from wavelight.networks.residual import DownBlock, Sizes, UpBlock
from wavelight.networks.unet import Resampling, UNet


class NCSNpp(UNet):
    """Samples clean images given noisy ones, a diffusion step and a latent; resamples by a filter.

    Args:
        shape: Of the images (of the sub-bands, where these are what is generated); unconditional.
        width: Channels of the features at full resolution.
        multipliers: Channels at each resolution as multiples of ``width``, from the full resolution
            down by halves.
        attention_resolutions: Sides of feature maps that get attention, beside the smallest, which
            always does.
        mapping_layers: Hidden layers of the mapping of the latent, after its first.
        blocks: Residual blocks at each resolution of the encoder; the decoder has one more.
        latent: Length of the latent.
        style: Length of what the latent is mapped to.
        bounded: Whether what is generated ends in tanh, as published; without it, targets need not lie in
            [-1, 1].

    Raises:
        ValueError: If ``multipliers`` ask for more halvings than the resolution allows, or for
            channels that group normalization cannot split.
    """

    def __init__(
        self,
        shape: FactorShape,
        width: int,
        multipliers: Sequence[int],
        attention_resolutions: Sequence[int],
        mapping_layers: int,
        blocks: int = 2,
        latent: int = 100,
        style: int = 256,
        bounded: bool = True,
    ) -> None:
        super().__init__(
            Resampling(DownBlock, FilteredConvolutionDown, filtered_up_block),
            shape,
            width,
            multipliers,
            attention_resolutions,
            mapping_layers,
            blocks,
            latent,
            style,
            bounded,
        )


def filtered_up_block(channels: int, taken: int, sizes: Sizes) -> nn.Module:
    """Make the block that doubles by the filter, which puts no details back whatever was taken."""
    return UpBlock(channels, sizes)
