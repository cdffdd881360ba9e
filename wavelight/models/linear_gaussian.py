"""The linear-Gaussian model: what second moments of neighbouring pixels alone tell of the details."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from wavelight.factorizations.base import Factor, Shape
from wavelight.factors import Condition, FactorShape
from wavelight.models.base import GenerativeModel, OptimizerFactory, Player
from wavelight.noise import Noise

GAUSSIAN = "gaussian"


class LinearGaussian(GenerativeModel):
    """The floor of detail models: the target given its condition c is N(A * c + b, Sigma).

    A is a convolution, and Sigma the covariance of the channels at each position, where positions
    do not depend on each other. Both are learnt by maximum likelihood; sampling is one evaluation. As
    they belong to no resolution, one model can serve all levels.

    Args:
        shape: Of the details, and of LL.
        kernel_size: Side of the convolution's kernel, in pixels of the condition; odd. The
            condition goes on beyond its border with the pixels there.
        optimizer: Makes its optimizer; Adam takes rates of about 1e-2, far above those of deep
            networks.

    Raises:
        ValueError: If the kernel has no middle.
    """

    def __init__(
        self,
        shape: FactorShape,
        kernel_size: int,
        optimizer: OptimizerFactory,
    ) -> None:
        super().__init__()
        if not shape.condition_channels:
            raise ValueError(
                "LinearGaussian models details given LL, which this factor has not; use it for the details of a pyramid"
            )
        self.gaussian = GaussianDetails(shape.channels, shape.condition_channels, kernel_size)
        self._optimizer = optimizer

    @override
    def players(self) -> Mapping[str, Player]:
        return {GAUSSIAN: Player(self.gaussian, self._optimizer, samples=True)}

    @override
    def losses(self, player: str, factor: Factor, turn: int, noise: Noise) -> dict[str, Tensor]:
        # The mean of many squares: bfloat16 would be most of a small error.
        with torch.autocast(factor.target.device.type, enabled=False):
            loss = self.gaussian.negative_log_likelihood(factor.target, factor.condition.true_ll())
        return {"negative_log_likelihood": loss.mean()}

    @override
    def sample(self, shape: Shape, condition: Condition, noise: Noise) -> Tensor:
        return self.gaussian(noise.normal(*shape), condition).float()


class GaussianDetails(nn.Module):
    """A Gaussian whose mean is linear in the condition, from which noise makes a sample.

    It begins as white noise, which standardised details are to second order if nothing is known.

    Args:
        channels: Channels of the target.
        condition_channels: Channels of the condition.
        kernel_size: Side of the kernel, odd.

    Raises:
        ValueError: If the kernel has no middle.
    """

    def __init__(self, channels: int, condition_channels: int, kernel_size: int) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and at least 1, got {kernel_size}")
        self.channels = channels
        self.condition_channels = condition_channels
        self.mean = nn.Conv2d(
            condition_channels,
            channels,
            kernel_size,
            padding=kernel_size // 2,
            padding_mode="replicate",
        )
        for parameter in self.mean.parameters():
            nn.init.zeros_(parameter)
        # Of the lower triangle W with W Sigma W^T = 1: in W the likelihood is concave, and nothing
        # has to be inverted to learn. Its diagonal is kept as logarithms, so that it stays above 0.
        self.log_diagonal = nn.Parameter(torch.zeros(channels))
        self.below = nn.Parameter(torch.zeros(channels, channels))

    def whitening(self) -> Tensor:
        """Return the lower triangle W ``(C, C)`` that makes what the mean leaves white."""
        return self.below.tril(-1) + self.log_diagonal.exp().diag()

    def cholesky(self) -> Tensor:
        """Return the Cholesky factor of Sigma, ``(C, C)``, the inverse of W."""
        whitening = self.whitening().float()
        identity = torch.eye(self.channels, device=whitening.device)
        return torch.linalg.solve_triangular(whitening, identity, upper=False)

    def negative_log_likelihood(self, target: Tensor, ll: Tensor) -> Tensor:
        """Return -log p(target | condition) in nats per number of the target, ``(N, 1, H, W)``.

        Args:
            target: ``(N, C, H, W)``.
            ll: ``(N, condition_channels, H, W)``.
        """
        left = target - self.mean(ll)
        white = functional.conv2d(left, self.whitening()[:, :, None, None])
        squares = white.square().mean(1, keepdim=True)
        return squares / 2 - self.log_diagonal.mean() + math.log(2 * math.pi) / 2

    @override
    def forward(self, noise: Tensor, condition: Condition) -> Tensor:
        """Sample a target ``(N, C, H, W)``, given standard normal noise of that shape and the condition."""
        return self.mean(condition.true_ll()) + functional.conv2d(
            noise, self.cholesky()[:, :, None, None]
        )
