"""A U-Net of details that reads LL alone, and is given its noise so late that samples share most of the work."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from wavelight.factors import Condition, FactorShape
from wavelight.networks.improved_unet import Levels, ScaleShiftBlock, Shared
from wavelight.networks.modulation import all_at_once
from wavelight.networks.normalization import group_norm
from wavelight.networks.one_shot import DetailGenerator
from wavelight.networks.resampling import check_halvings, fitted
from wavelight.support.errors import check_least


class LateNoiseUNet(DetailGenerator):
    """Samples details as F + exp(S + T z - T^2) * noise, where F, S and T depend on LL and on the noise.

    It is the U-Net of ``ImprovedUNet``, with a learnt vector where that has the embedding of a time. Noise of the
    channels of the details is added once, to the features at the decoder's full resolution: what is before depends on
    LL alone, and samples at the same LL share it. S is the local scale, and z the noise of one channel more, smooth and
    shared by all channels. The first samples, with F and S at 0, are a scale mixture of Gaussians of variance 1, as the
    details of natural images are (Wainwright and Simoncelli, 2000), and with the scaling ``Eigenbasis`` have the spread
    and the colours of the details: there is no noise to be woken up. Without T, Gaussian samples of the least CRPS are
    narrower than details, whose tails are heavier.

    Args:
        shape: The shape of the details, and of LL; where one network serves several levels, of the coarsest.
        width: Channels of the features, of which the multipliers are multiples.
        multipliers: Channels at each resolution as multiples of ``width``, from the full resolution down by halves.
        attention_resolutions: Sides of feature maps whose residual blocks are followed by attention. There is one
            attention more at the smallest.
        blocks: Residual blocks at each resolution of the encoder; the decoder has one more.
        heads: Number of heads of every attention.
        smallest_side: Side of the smallest features, to which ``multipliers`` are fitted: where they are too
            many, the first are left out, where too few, the last is repeated; none takes as many as there are.
        first_tail: T before anything is learnt. 0.5 is an excess kurtosis of 5.2; that of the details of CIFAR-10 is
            3.6 to 5.9 in the stronger principal components. Few batches do not take specks away that it begins with.

    Raises:
        ValueError: If ``first_tail`` is negative, or ``multipliers`` ask for more halvings than the resolution allows,
            or for channels that group normalization or the heads cannot split.
    """

    def __init__(
        self,
        shape: FactorShape,
        width: int,
        multipliers: Sequence[int],
        attention_resolutions: Sequence[int],
        blocks: int = 1,
        heads: int = 2,
        smallest_side: int | None = None,
        first_tail: float = 0.5,
    ) -> None:
        check_least({"first_tail": (first_tail, 0)})
        multipliers = fitted(multipliers, shape.side, smallest_side)
        check_halvings(shape.side, len(multipliers))
        smallest = len(multipliers) - 1
        super().__init__(
            shape.channels,
            shape.condition_channels,
            noise_channels=shape.channels + 1,
            halvings=smallest,
        )
        widths = [width * multiplier for multiplier in multipliers]
        attends = [shape.side >> level in attention_resolutions for level in range(len(widths))]
        shared = Shared(4 * width, heads, dropout=0.0, periodic=False)
        levels = Levels(widths, blocks, attends, shared)

        self.constant = nn.Parameter(torch.randn(1, shared.embedding))
        self.stem = shared.convolution(shape.condition_channels, widths[0])
        self.encoder = nn.ModuleList(levels.encoder(level) for level in range(len(widths)))
        self.middle = levels.middle()
        self.coarse_decoder = nn.ModuleList(
            levels.decoder(level) for level in range(smallest, 0, -1)
        )
        self.noise_stem = shared.convolution(self.noise_channels, levels.entering_decoder(0))
        self.finest_decoder = levels.decoder(0)
        self.head_norm = group_norm(widths[0])
        self.head = shared.silent_convolution(widths[0], 3 * shape.channels)
        self.first_tail = first_tail
        self.to(memory_format=torch.channels_last)

    @override
    def forward(self, noise: Tensor, condition: Condition) -> Tensor:
        blocks = [module for module in self.modules() if isinstance(module, ScaleShiftBlock)]
        affines = all_at_once([block.affine for block in blocks], self.constant)
        skips = [self.stem(self.checked(noise, condition))]
        for level in self.encoder:
            skips += level(skips[-1], affines)
        h = skips[-1]
        for stage in self.middle:
            h = stage(h, next(affines))
        for level in self.coarse_decoder:
            h = level(h, skips, affines)
        samples = len(noise) // len(h)
        h = h.repeat(samples, 1, 1, 1) + self.noise_stem(noise)
        h = self.finest_decoder(h, [skip.repeat(samples, 1, 1, 1) for skip in skips], affines)
        location, log_scale, tail = self.head(functional.silu(self.head_norm(h))).chunk(3, dim=1)
        return scale_mixture(noise, location, log_scale, self.first_tail + tail).contiguous()


def scale_mixture(noise: Tensor, location: Tensor, log_scale: Tensor, tail: Tensor) -> Tensor:
    """Return samples of a Gaussian scale mixture whose scales are log-normal: where S is 0, of variance 1 for any T.

    Scales of neighbours go together, as where there is texture: alone, a large one would be a speck.

    Args:
        noise: Standard normal noise ``(N, C + 1, H, W)``; z is the last channel, averaged over 3x3 neighbours (the
            last column's go on with the first, and so do the last row's) and of variance 1.
        location: F, ``(N, C, H, W)``, as the rest.
        log_scale: S.
        tail: T, the standard deviation of the logarithm of the scale; the excess kurtosis is 3 (exp(4 T^2) - 1).
    """
    white, z = noise[:, :-1], functional.pad(noise[:, -1:], (1, 1, 1, 1), mode="circular")
    smooth = 3 * functional.avg_pool2d(z, 3, stride=1)
    return location + (log_scale + tail * (smooth - tail)).exp() * white
