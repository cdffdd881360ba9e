"""SGM and WSGM of stationary Gaussian fields, with their exact scores where others have learnt networks.

So the framework's own factorizations, samplers and schedules run on a case with a known answer:
:mod:`wavelight.theory` says what they should sample.
"""

from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from wavelight.diffusion.noise_level_sampling import UniformTimesteps
from wavelight.diffusion.parameterizations import EpsPrediction
from wavelight.diffusion.processes import OrnsteinUhlenbeck, Process
from wavelight.diffusion.samplers import Sampler, euler_maruyama
from wavelight.diffusion.schedules import Schedule, Uniform
from wavelight.factorizations.scaling import Scalar
from wavelight.factors import UNCONDITIONAL, Condition
from wavelight.models import ModelFactory, ScoreModel
from wavelight.systems import SGM, WSGM
from wavelight.theory import Level, power_law, split
from wavelight.theory.steps import default_levels
from wavelight.wavelets import DETAIL_BANDS, BandStatistics, LevelStatistics

_HORIZON = 10.0

_UNIFORM = Uniform()


class GaussianNetwork(nn.Module):
    """Predicts the noise in a Gaussian, as a perfect network with the parameterization ``EpsPrediction`` would.

    At each frequency, the Fourier coefficients of the C channels of x_0 are N(A c, U diag(l) U^H)
    given that of the condition, c. With x_t = alpha x_0 + sigma noise, the expected noise there is
    sigma U diag(1 / (sigma^2 + alpha^2 l)) U^H (x_t - alpha A c).

    Args:
        process: How targets turn to noise.
        time_scale: Factor by which times were multiplied for the network.
        variances: The eigenvalues l, ``(M, M, C)``, at the frequencies of ``numpy.fft.fftfreq``.
        vectors: The eigenvectors in the columns of U, ``(M, M, C, C)``.
        regression: A, ``(M, M, C)``; none where there is no condition.
    """

    variances: Tensor
    vectors: Tensor
    regression: Tensor

    def __init__(
        self,
        process: Process,
        time_scale: float,
        variances: NDArray[np.float64],
        vectors: NDArray[np.complex128],
        regression: NDArray[np.complex128] | None = None,
    ) -> None:
        super().__init__()
        self.process = process
        self.time_scale = time_scale
        self.resolution = len(variances)
        self.channels = variances.shape[-1]
        self.condition_channels = 0 if regression is None else 1
        # A real field has conjugate coefficients at opposite frequencies: half of them are enough.
        half = (slice(None), slice(self.resolution // 2 + 1))
        self.register_buffer("variances", torch.from_numpy(variances[half].copy()))
        self.register_buffer("vectors", _real_view(vectors[half]))
        if regression is not None:
            self.register_buffer("regression", _real_view(regression[half]))

    @override
    def forward(self, x: Tensor, c_noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the expected noise, of the shape and precision of ``x``.

        Args:
            x: x_t, ``(N, C, M, M)``.
            c_noise: The times, times their scale, ``(N,)``.
            condition: LL ``(N, 1, M, M)``, for a network of details.
        """
        # At most 9 numbers for each frequency: float64 costs nothing until they meet the batch.
        time = (c_noise.double() / self.time_scale)[:, None, None, None]
        alpha, sigma = self.process.alpha(time), self.process.sigma(time)
        shrink = (sigma / (sigma**2 + alpha**2 * self.variances)).to(x.dtype)
        vectors = _complex_view(self.vectors, x)
        coefficients = _coefficients(x)
        if condition.ll is not None:
            mean = _complex_view(self.regression, x) * _coefficients(condition.ll)
            coefficients = coefficients - alpha.to(x.dtype) * mean
        along = torch.einsum("ijba,nijb->nija", vectors.conj(), coefficients)
        noise = torch.einsum("ijab,nijb->nija", vectors, shrink * along)
        return torch.fft.irfft2(noise.permute(0, 3, 1, 2), s=x.shape[-2:], norm="ortho")


def exact_sgm(
    size: int,
    eta: float,
    steps: int,
    schedule: Schedule = _UNIFORM,
    sampler: Sampler = euler_maruyama,
) -> SGM:
    """Return an SGM that knows the score of a power-law field of unit variance, one channel.

    The process is Ornstein-Uhlenbeck's, up to time 10, as in WSGM's experiment with Gaussian fields.

    Args:
        size: The side of the field.
        eta: How fast its spectrum falls, see :func:`wavelight.theory.power_law`.
        steps: Steps of the sampler.
        schedule: Where the steps begin and end; uniform as in WSGM's theory.
        sampler: Euler-Maruyama as in WSGM's theory.

    Raises:
        ValueError: If a value makes no sense.
    """
    process, parameterization = OrnsteinUhlenbeck(_HORIZON), EpsPrediction()
    network = _field_network(process, parameterization, power_law(size, eta))
    model = _score_model(network, process, parameterization, schedule, sampler, steps)
    return SGM(model=model, image_size=size, seed=0, channels=1, bounded=False).eval()


def exact_wsgm(
    size: int,
    eta: float,
    steps: int,
    levels: int | None = None,
    wavelet: str = "db4",
    schedule: Schedule = _UNIFORM,
    sampler: Sampler = euler_maruyama,
) -> WSGM:
    """Return a WSGM that knows the scores of a power-law field of unit variance, one channel.

    Bands are scaled by one number each, exactly: details by WSGM's gamma_j, LL bands to unit
    mean variance.

    Args:
        size: The side of the field.
        eta: How fast its spectrum falls, see :func:`wavelight.theory.power_law`.
        steps: Steps of the sampler, at every scale.
        levels: Levels of the pyramid; none takes as many as leave a side of at least 4.
        wavelet: An orthogonal wavelet of PyWavelets, no longer than the shortest side that is split.
        schedule: Where the steps begin and end; uniform as in WSGM's theory.
        sampler: Euler-Maruyama as in WSGM's theory.

    Raises:
        ValueError: If a value makes no sense, or the field cannot be split so.
    """
    process, parameterization = OrnsteinUhlenbeck(_HORIZON), EpsPrediction()
    spectrum = power_law(size, eta)
    pyramid = list(_levels(spectrum, default_levels(size) if levels is None else levels, wavelet))
    coarsest = pyramid[-1].coarse if pyramid else spectrum
    networks = [
        _field_network(process, parameterization, coarsest / coarsest.mean()),
        *(_detail_network(process, parameterization, level) for level in reversed(pyramid)),
    ]
    coarse, *details = (
        _score_model(network, process, parameterization, schedule, sampler, steps)
        for network in networks
    )
    system = WSGM(
        coarse=coarse,
        details=details,
        levels=len(details),
        image_size=size,
        seed=0,
        wavelet=wavelet,
        scaling=Scalar(),
        channels=1,
        bounded=False,
    )
    system.factorization.fit([_statistics(1.0, 1.0), *map(_level_statistics, pyramid)])
    return system.eval()


def _levels(spectrum: NDArray[np.float64], levels: int, wavelet: str) -> Iterable[Level]:
    """Yield the levels of a pyramid, the finest first."""
    for _ in range(levels):
        level = split(spectrum, wavelet)
        yield level
        spectrum = level.coarse


def _field_network(
    process: Process, parameterization: EpsPrediction, spectrum: NDArray[np.float64]
) -> GaussianNetwork:
    variances = spectrum[..., None]
    vectors = np.ones((*variances.shape, 1), dtype=complex)
    return GaussianNetwork(process, parameterization.time_scale, variances, vectors)


def _detail_network(
    process: Process, parameterization: EpsPrediction, level: Level
) -> GaussianNetwork:
    """Return the network of scaled details given the scaled LL."""
    variances, vectors = np.linalg.eigh(level.covariance / level.variance)
    regression = level.regression * np.sqrt(level.coarse.mean() / level.variance)
    return GaussianNetwork(process, parameterization.time_scale, variances, vectors, regression)


def _score_model(
    network: GaussianNetwork,
    process: Process,
    parameterization: EpsPrediction,
    schedule: Schedule,
    sampler: Sampler,
    steps: int,
) -> ModelFactory:
    return partial(
        ScoreModel,
        network=lambda shape: network,
        optimizer=_no_optimizer,
        process=process,
        parameterization=parameterization,
        noise_level_sampling=UniformTimesteps(),
        sampler=sampler,
        schedule=schedule,
        steps=steps,
    )


def _no_optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    raise ValueError("the score of this system is exact and has nothing to learn")


def _level_statistics(level: Level) -> LevelStatistics:
    return _statistics(level.coarse.mean(), level.variance)


def _statistics(coarse: float, details: float) -> LevelStatistics:
    """Return what is measured of bands of these mean variances."""
    return LevelStatistics(_band_statistics(coarse, 1), _band_statistics(details, DETAIL_BANDS))


def _band_statistics(variance: float, channels: int) -> BandStatistics:
    std = torch.full((channels,), variance, dtype=torch.float64).sqrt()
    return BandStatistics(
        mean=torch.zeros_like(std),
        std=std,
        peak=torch.full_like(std, torch.inf),
        covariance=std.square().diag(),
    )


def _coefficients(x: Tensor) -> Tensor:
    """Return half the Fourier coefficients of ``(N, C, M, M)``, ``(N, M, M // 2 + 1, C)``."""
    return torch.fft.rfft2(x, norm="ortho").permute(0, 2, 3, 1)


def _real_view(values: NDArray[np.complex128]) -> Tensor:
    # Moving a module to another precision would take the imaginary part of complex buffers away.
    return torch.view_as_real(torch.from_numpy(values.copy()))


def _complex_view(values: Tensor, like: Tensor) -> Tensor:
    return torch.view_as_complex(values.to(like.dtype))
