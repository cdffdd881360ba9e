"""SGM and WSGM of physical fields whose scores are fitted energies, in closed form, where others have learnt networks.

So the two are compared by their steps, on a field that is not Gaussian, without a training. The
energies are those of WSGM's experiment with phi^4 (Guth et al., 2022, section 4).
"""

from collections.abc import Iterable, Sequence
from functools import partial
from math import prod

import torch
from torch import Tensor, nn
from typing_extensions import override

from data_modules.statistics import measure
from wavelight.diffusion.noise_level_sampling import UniformTimesteps
from wavelight.diffusion.parameterizations import EpsPrediction
from wavelight.diffusion.processes import OrnsteinUhlenbeck, Process, over_pixels
from wavelight.diffusion.samplers import Sampler, euler_maruyama
from wavelight.diffusion.schedules import Schedule, Uniform
from wavelight.factorizations.base import Factor
from wavelight.factorizations.pyramids import Pyramid
from wavelight.factorizations.scaling import Scalar
from wavelight.factors import UNCONDITIONAL, Condition
from wavelight.models import ModelFactory, ScoreModel
from wavelight.networks.field_energy import EnergyParameters, FieldEnergy, ScoreMatching
from wavelight.systems import SGM, WSGM
from wavelight.theory.steps import default_levels
from wavelight.wavelets import dwt2

_HORIZON = 5.0
_TIMES = 33
_SIGMOIDS = 16
_RIDGE = 1e-4
"""Added to the mean squares of the sigmoids' gradients, in units of the largest, at no noise."""
_ROUNDING = 1e-6
_INSIDE = 0.9999
"""The share of values among which the centres of the sigmoids lie."""
_BATCH = 256

_UNIFORM = Uniform()


class EnergyNetwork(nn.Module):
    """Predicts the noise as a perfect network with ``EpsPrediction`` would, if its energy were the true.

    That is sigma grad E(x_t), with parameters of E that are linear in the time between the times at
    which they are known. For details x_t and a condition c, the energy sees the field whose details
    are x_t and whose LL is alpha c: as an image at this time, but for LL's
    noise.

    Args:
        energy: The energy, of all of x_t or of details.
        process: How targets turn to noise.
        time_scale: Factor by which times were multiplied for the network.
        times: At which parameters are known, rising, ``(T,)``.
        condition_scale: The scale of the condition in units of that of the details.
    """

    transform: Tensor
    times: Tensor
    theta: Tensor
    spreads: Tensor

    def __init__(
        self,
        energy: FieldEnergy,
        process: Process,
        time_scale: float,
        times: Tensor,
        condition_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.energy = energy
        self.process = process
        self.time_scale = time_scale
        self.condition_scale = condition_scale
        self.resolution = energy.size // energy.parts
        self.channels = 1 if energy.wavelet is None else 3
        self.condition_channels = energy.parts - 1
        terms = energy.parts * len(energy.shifts) + prod(energy.sigmoids)
        if energy.wavelet is not None:
            # Of small sides, a product of matrices takes a tenth of the time of the transform.
            self.register_buffer("transform", _transform(energy.size, energy.wavelet))
        self.register_buffer("times", times.double())
        self.register_buffer("theta", torch.zeros(len(times), terms, dtype=torch.float64))
        spreads = torch.ones(len(times), energy.sigmoids[0], dtype=torch.float64)
        self.register_buffer("spreads", spreads)

    @override
    def forward(self, x: Tensor, c_noise: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Return the noise that the energy expects, of the shape and precision of ``x``.

        Args:
            x: x_t, ``(N, 1, L, L)``, or details ``(N, 3, L/2, L/2)``.
            c_noise: The times, times their scale, ``(N,)``.
            condition: LL ``(N, 1, L/2, L/2)``, for details.
        """
        time = c_noise.double() / self.time_scale
        gradient = self.energy(self.parts(x, time, condition.ll), self._interpolated(time, x.dtype))
        if condition.ll is not None:
            transform = self.transform.to(x.dtype)
            (_, high_width), (high_height, both) = _quarters(transform @ gradient @ transform.mT)
            gradient = torch.cat([high_height, high_width, both], dim=1)
        return over_pixels(self.process.sigma(time), x) * gradient

    def parts(self, x: Tensor, time: Tensor, ll: Tensor | None) -> list[Tensor]:
        """Return the parts of the fields that the energy sees, ``(N, 1, L, L)`` each.

        Args:
            x: As in :meth:`forward`.
            time: ``(N,)`` or 0-dim.
            ll: ``(N, 1, L/2, L/2)``, for details.
        """
        if ll is None:
            return [x]
        coarse = self.condition_scale * over_pixels(self.process.alpha(time), x) * ll
        high_height, high_width, both = x.chunk(3, dim=1)
        nothing = torch.zeros_like(coarse)
        details = torch.cat(
            [torch.cat([nothing, high_width], dim=3), torch.cat([high_height, both], dim=3)], dim=2
        )
        transform = self.transform.to(x.dtype)
        low = transform[: self.resolution]
        return [transform.mT @ details @ transform, low.mT @ coarse @ low]

    def fit(self, factor: Factor, seed: int) -> None:
        """Choose the parameters by score matching, at each of the times (Hyvarinen, 2005).

        The mean of |score|^2 / 2 + div score over fields is least where theta solves E[grad U grad
        U^T] theta = E[Lap U].

        Args:
            factor: Targets without noise, ``(N, C, H, W)``, and their conditions.
            seed: Seed of the noise.
        """
        generator = torch.Generator().manual_seed(seed)
        for index, time in enumerate(self.times):
            noise = torch.randn(factor.target.shape, generator=generator)
            noisy = self.process.perturb(factor.target, time, noise)
            self.spreads[index] = self._spreads_of(noisy, time, factor.condition.ll)
            sums = (
                self.energy.score_matching(self.parts(x, time, given), self.spreads[index].float())
                for x, given in _batches(noisy, factor.condition.ll)
            )
            # The less is left of the image, the closer its law is to a Gaussian, and the more of
            # what potentials fit is chance.
            ridge = _RIDGE / self.process.alpha(time).item() ** 2
            self.theta[index] = solve(sums, self.energy.sigmoids, ridge)

    def _spreads_of(self, noisy: Tensor, time: Tensor, ll: Tensor | None) -> Tensor:
        magnitudes = [
            values.abs().flatten() for values in self.energy.values(self.parts(noisy, time, ll))
        ]
        return torch.stack([each.kthvalue(int(_INSIDE * len(each))).values for each in magnitudes])

    def _interpolated(self, time: Tensor, dtype: torch.dtype) -> EnergyParameters:
        above = torch.searchsorted(self.times, time).clamp(1, len(self.times) - 1)
        lower, upper = self.times[above - 1], self.times[above]
        weight = (time - lower) / (upper - lower)
        theta = torch.lerp(self.theta[above - 1], self.theta[above], weight[:, None])
        spreads = torch.lerp(self.spreads[above - 1], self.spreads[above], weight[:, None])
        return self.energy.parameters_of(theta.to(dtype), spreads.to(dtype))


def _transform(size: int, wavelet: str) -> Tensor:
    """Return the matrix of one level of a wavelet transform in one dimension, low rows first, ``(size, size)``."""
    # A row of ones has no details, and sqrt 2 for each coarse value.
    lines = torch.eye(size)[:, None, :, None].expand(-1, 1, -1, size)
    coarse, details = dwt2(lines, wavelet)
    return torch.cat([coarse[:, 0, :, 0], details[:, 0, :, 0]], dim=1).mT / 2**0.5


def _quarters(bands: Tensor) -> list[tuple[Tensor, ...]]:
    return [half.tensor_split(2, dim=3) for half in bands.tensor_split(2, dim=2)]


def solve(sums: Iterable[ScoreMatching], sigmoids: tuple[int, int], ridge: float) -> Tensor:
    """Return the parameters that score matching finds, ``(Q,)`` float64.

    Sigmoids can imitate a parabola as far as there is data, and so the interactions, but beyond it
    they pull no more. A ridge on them alone leaves what is Gaussian to the interactions, which hold
    a field everywhere, and what is seen by few sites near 0. Interactions are divided by the root
    mean square of their gradients first.

    Args:
        sums: Sums over disjoint batches of fields.
        sigmoids: The last parameters are of so many potentials, of so many sigmoids each.
        ridge: Constant added to the mean squares of the sigmoids' gradients, in units of the largest
            of a potential.
    """
    products, laplacian = (torch.stack(list(each)).sum(0) for each in zip(*sums, strict=True))
    count = sigmoids[0] * sigmoids[1]
    interactions, potentials = products.diagonal().tensor_split([-count])
    largest = potentials.reshape(sigmoids).amax(1).repeat_interleave(sigmoids[1])
    size = torch.cat([interactions, largest])
    # What has no gradient up to rounding, such as a shift that leaves LL alone.
    scale = torch.where(size > 1e-9 * size.max(), size.rsqrt(), 0)
    added = torch.full_like(scale, _ROUNDING)
    added[-count:] = ridge
    matrix = scale[:, None] * products * scale + added.diag()
    return scale * torch.linalg.solve(matrix, scale * laplacian)


def energy_sgm(
    fields: Tensor,
    steps: int,
    reach: int | None = None,
    seed: int = 0,
    schedule: Schedule = _UNIFORM,
    sampler: Sampler = euler_maruyama,
) -> SGM:
    """Fit an SGM to fields; its scores are those of energies.

    Args:
        fields: ``(N, 1, L, L)``, periodic.
        steps: Steps of the sampler.
        reach: The farthest interaction along an axis, in pixels; none takes all.
        seed: Seed of the noise in the fit.
        schedule: Where the steps begin and end; uniform as in WSGM's experiment.
        sampler: Euler-Maruyama as in WSGM's experiment.

    Raises:
        ValueError: If a value makes no sense.
    """
    size = fields.shape[-1]
    network = _network(size, reach, None, 1.0)
    network.fit(Factor(fields), seed)
    model = _score_model(network, schedule, sampler, steps)
    return SGM(model=model, image_size=size, seed=0, channels=1, bounded=False).eval()


def energy_wsgm(
    fields: Tensor,
    steps: int,
    levels: int | None = None,
    wavelet: str = "db4",
    reach: int | None = None,
    seed: int = 0,
    schedule: Schedule = _UNIFORM,
    sampler: Sampler = euler_maruyama,
) -> WSGM:
    """Fit a WSGM to fields; its scores are those of energies, one of the details of each level.

    Args:
        fields: ``(N, 1, L, L)``, periodic.
        steps: Steps of the sampler, at every scale.
        levels: Levels of the pyramid; none takes as many as leave a side of at least 4.
        wavelet: An orthogonal wavelet of PyWavelets, no longer than the shortest side that is split.
        reach: The farthest interaction along an axis, in pixels of the level's field; none takes
            all.
        seed: Seed of the noise in the fit.
        schedule: Where the steps begin and end; uniform as in WSGM's experiment.
        sampler: Euler-Maruyama as in WSGM's experiment.

    Raises:
        ValueError: If a value makes no sense, or the fields cannot be split so.
    """
    size = fields.shape[-1]
    levels = default_levels(size) if levels is None else levels
    pyramid = Pyramid(levels, wavelet, Scalar(), channels=1)
    statistics = measure([fields], 1, partial(dwt2, wavelet=wavelet), levels)
    pyramid.fit(statistics)
    networks = [_network(size >> levels, reach, None, 1.0)]
    for level in range(levels, 0, -1):
        coarse_scale, details_scale = (
            Scalar().mean_and_scale(level, 1, band)[1].item() for band in statistics[level]
        )
        scale = coarse_scale / details_scale
        networks.append(_network(size >> (level - 1), reach, wavelet, scale))
    for network, factor in zip(networks, pyramid.encode(fields), strict=True):
        network.fit(factor, seed)
    coarse, *details = (_score_model(network, schedule, sampler, steps) for network in networks)
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
    system.factorization.fit(statistics)
    return system.eval()


def _network(
    size: int, reach: int | None, wavelet: str | None, condition_scale: float
) -> EnergyNetwork:
    reach = size // 2 if reach is None else min(reach, size // 2)
    process = OrnsteinUhlenbeck(_HORIZON)
    # More times near the image, where the energy is the farthest from a Gaussian's.
    times = _HORIZON * torch.linspace(0, 1, _TIMES, dtype=torch.float64) ** 2
    energy = FieldEnergy(size, reach, _SIGMOIDS, wavelet)
    return EnergyNetwork(energy, process, EpsPrediction().time_scale, times, condition_scale)


def _score_model(
    network: EnergyNetwork, schedule: Schedule, sampler: Sampler, steps: int
) -> ModelFactory:
    return partial(
        ScoreModel,
        network=lambda shape: network,
        optimizer=_no_optimizer,
        process=network.process,
        parameterization=EpsPrediction(network.time_scale),
        noise_level_sampling=UniformTimesteps(),
        sampler=sampler,
        schedule=schedule,
        steps=steps,
    )


def _no_optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    raise ValueError("the energies of this system were fitted in closed form; it does not train")


def _batches(x: Tensor, ll: Tensor | None) -> Iterable[tuple[Tensor, Tensor | None]]:
    """Yield parts of a few hundred fields, with their LL."""
    parts: Sequence[Tensor] = x.split(_BATCH)
    given = [None] * len(parts) if ll is None else ll.split(_BATCH)
    return zip(parts, given, strict=True)
