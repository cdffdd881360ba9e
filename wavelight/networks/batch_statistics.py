"""Batch normalization over the whole global batch, which is shared out to processes (Ioffe and Szegedy 2015)."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from wavelight.networks.gathering import gather
from wavelight.support.collectives import world_size

BATCH_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""Layers that normalize over a batch, PyTorch's and what is made of them."""


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalization whose statistics, in training, are those of the images of all processes.

    So processes learn what one would, and keep equal running statistics. PyTorch's ``SyncBatchNorm`` has no second
    derivatives, which gradient penalties need, and none at all on a CPU. With one process it is PyTorch's.

    Args:
        channels: Channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Normalize features ``(N, channels, H, W)``, as many on all processes."""
        if not self.training or world_size() == 1:
            return super().forward(x)
        # Not sums of squares, which lose the digits of a small variance beside a large mean.
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        statistics = torch.stack(torch.var_mean(values, dim=(0, 2, 3), correction=0))
        variances, means = gather(statistics[None]).unbind(1)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        self._follow(mean.detach(), variance.detach(), world_size() * x.numel() // x.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        centred = values - _over_pixels(mean)
        return torch.addcmul(_over_pixels(self.bias), centred, _over_pixels(scale)).to(x.dtype)

    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, whose variance is the unbiased one."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            unbiased = variance * count / (count - 1)
            self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)


def _over_pixels(channels: Tensor) -> Tensor:
    return channels[:, None, None]
