"""Minibatch standard deviation (Karras et al. 2018, section 3): how much images of a batch differ."""

import torch
from torch import Tensor, nn

from wavelight.networks.gathering import gather, own_share

GROUP = 4
"""Number of images in a group, as published."""


class MinibatchStandardDeviation(nn.Module):
    """Puts the standard deviation of features over groups of the batch after the features, as one more channel.

    In training the groups are those of the global batch, however it is shared out to processes; a system that
    accumulates gradients cuts shares into parts of whole groups, see :class:`wavelight.systems.parts.Parts`.
    """

    group = GROUP

    def forward(self, h: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to ``(N, C + 1, H, W)``.

        Raises:
            ValueError: If the images of all processes are more than 4 and not a multiple of it.
        """
        images = gather(h) if self.training else h
        spread = minibatch_standard_deviation(images, self.group)
        return torch.cat([h, own_share(spread) if self.training else spread], dim=1)


def minibatch_standard_deviation(h: Tensor, group: int = GROUP) -> Tensor:
    """Return the standard deviation of features over groups of a batch.

    A group takes every (N / group)-th image; smaller batches are one group.

    Args:
        h: ``(N, C, H, W)``.
        group: Number of images in a group.

    Returns:
        ``(N, 1, H, W)``: the standard deviation over an image's group, averaged over channels and
        pixels.

    Raises:
        ValueError: If ``N`` is more than ``group`` and not a multiple of it.
    """
    batch, _, height, width = h.shape
    group = min(batch, group)
    if batch % group:
        raise ValueError(
            f"the batch must be a multiple of group = {group} (minibatch standard deviation), "
            f"got {batch}"
        )
    grouped = h.unflatten(0, (group, batch // group))
    deviation = grouped - grouped.mean(dim=0)
    # Faster than var, which does not vectorise over the first dimension.
    spread = (deviation.square().mean(dim=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return spread.repeat(group)[:, None, None, None].expand(batch, 1, height, width)
