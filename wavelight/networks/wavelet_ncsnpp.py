"""The wavelet-embedded generator of WaveDiff (Phung et al. 2023, section 4.3)."""

from collections.abc import Iterator, Sequence
from typing import cast

from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from wavelight.factors import FactorShape
from wavelight.networks.frequency import (
    FrequencyDownBlock,
    FrequencyUpBlock,
    WaveletDown,
    refine_coarse,
)
from wavelight.networks.modulation import Modulation
from wavelight.networks.ncsnpp import filtered_up_block
from wavelight.networks.resampling import FilteredConvolutionDown
from wavelight.networks.residual import DownBlock
from wavelight.networks.unet import Resampling, Stage, UNet


class WaveletNCSNpp(UNet):
    """Samples clean images given noisy ones, a diffusion step and a latent; resamples by Haar wavelets.

    Each of its three wavelet parts can be switched off alone, for the paper's ablations.

    Args:
        shape: Of the images (of the sub-bands, where these are what is generated), before they are cut
            into patches; unconditional.
        width: Channels of the features at full resolution.
        multipliers: Channels at each resolution as multiples of ``width``, from the full resolution
            down by halves.
        attention_resolutions: Sides of feature maps that get attention, beside the smallest, which
            always does.
        mapping_layers: Hidden layers of the mapping of the latent, after its first.
        blocks: Residual blocks at each resolution of the encoder; the decoder has one more.
        latent: Length of the latent.
        style: Length of what the latent is mapped to.
        frequency_resampling: Whether features are halved and doubled by wavelets, so that their
            details go by the bottleneck, not by a filter.
        frequency_bottleneck: Whether the blocks in the middle work on LL, and leave details as they
            are.
        wavelet_pyramid: Whether the carried image is halved by wavelets, not by a filter.
        patch: Side of the patches that become channels before the network and pixels behind it.
        bounded: Whether what is generated ends in tanh, as published; without it, targets need not lie in
            [-1, 1].

    Raises:
        ValueError: If ``multipliers`` ask for more halvings than the resolution allows, for
            channels that group normalization cannot split, or for patches that do not fit.
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
        frequency_resampling: bool = True,
        frequency_bottleneck: bool = True,
        wavelet_pyramid: bool = True,
        patch: int = 1,
        bounded: bool = True,
    ) -> None:
        if patch < 1 or shape.side % patch:
            raise ValueError(
                f"patch must divide the side of the generated bands, {shape.side}, got {patch}"
            )
        super().__init__(
            Resampling(
                FrequencyDownBlock if frequency_resampling else DownBlock,
                WaveletDown if wavelet_pyramid else FilteredConvolutionDown,
                FrequencyUpBlock if frequency_resampling else filtered_up_block,
            ),
            shape._replace(
                channels=shape.channels * patch**2,
                height=shape.height // patch,
                width=shape.width // patch,
            ),
            width,
            multipliers,
            attention_resolutions,
            mapping_layers,
            blocks,
            latent,
            style,
            bounded,
        )
        self.frequency_bottleneck = frequency_bottleneck
        self.patch = patch
        # To those outside, patches are not to be seen.
        self.resolution = shape.side
        self.channels = shape.channels

    @override
    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        generated = super().forward(_patches(x, self.patch), t, z)
        return functional.pixel_shuffle(generated, self.patch)

    @override
    def _bottleneck(self, h: Tensor, modulations: Iterator[Modulation]) -> Tensor:
        if not self.frequency_bottleneck:
            return super()._bottleneck(h, modulations)
        first, second = (cast(Stage, stage) for stage in self.middle)
        h = first.attention(refine_coarse(first.block, h, next(modulations)))
        modulation = next(modulations)
        # Applied twice, with the same weights, as published.
        return refine_coarse(second.block, second.block(h, modulation), modulation)


def _patches(x: Tensor, side: int) -> Tensor:
    """Cut images into patches, whose pixels become channels: each pixel's colours stand together.

    The way back, ``pixel_shuffle``, has each colour's pixels together, as published.
    """
    if side == 1:
        return x
    colours = functional.pixel_unshuffle(x, side).unflatten(1, (x.shape[1], side**2))
    return colours.transpose(1, 2).flatten(1, 2)
