"""How many steps SGM and WSGM need to sample a field of power-law spectrum to a given accuracy."""

from collections.abc import Callable, Sequence
from enum import StrEnum

from wavelight.theory.factors import GaussianFactor, pixel_factor, pyramid_factors
from wavelight.theory.recursion import euler_maruyama, kl_divergence, uniform_times
from wavelight.theory.spectra import power_law

MOST_STEPS = 2**17
"""Where the search for a number of steps ends."""

_COARSEST = 4


class System(StrEnum):
    """The systems whose samplers are known exactly."""

    SGM = "sgm"
    """The pixels at once, at unit mean variance."""

    WSGM = "wsgm"
    """A wavelet pyramid, band given coarser band, with the same steps at every scale."""

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise ValueError(f"the exact theory has the systems {', '.join(cls)}, not {value!r}")


def steps_needed(
    system: System | str,
    size: int,
    eta: float,
    kl_per_dim: float = 1e-2,
    wavelet: str = "db4",
    levels: int | None = None,
    xi: float | None = None,
    horizon: float = 10.0,
) -> int:
    """Return the smallest number of uniform steps at which KL(true || sampled) per dimension is small enough.

    Samples of the field are drawn by Euler-Maruyama with the exact score, from N(0, I); WSGM takes
    this number of steps at every scale (WSGM, Theorems 1 and 3). Seconds at 1024 pixels.

    Args:
        system: ``sgm`` or ``wsgm``.
        size: The side L of the field, d = L^2.
        eta: How fast the spectrum 1 / (xi^eta + |w|^eta) falls.
        kl_per_dim: The largest KL / d, in nats.
        wavelet: Of WSGM: an orthogonal wavelet of PyWavelets.
        levels: Of WSGM's pyramid; none takes those that :func:`default_levels` says.
        xi: The frequency below which the spectrum is flat; none takes 2 pi / L.
        horizon: The time T at which sampling starts.

    Raises:
        ValueError: If a value makes no sense, or no number of steps up to 2^17 is enough.
    """
    factors = factors_of(system, size, eta, wavelet, levels, xi)
    return smallest_steps(lambda steps: _kl(factors, steps, horizon) / size**2, kl_per_dim)


def kl_per_dimension(
    system: System | str,
    size: int,
    eta: float,
    steps: int,
    wavelet: str = "db4",
    levels: int | None = None,
    xi: float | None = None,
    horizon: float = 10.0,
) -> float:
    """Return KL(true || sampled) / d, in nats, after a number of uniform steps (at every scale).

    Args:
        system: ``sgm`` or ``wsgm``.
        size: The side L of the field, d = L^2.
        eta: How fast the spectrum 1 / (xi^eta + |w|^eta) falls.
        steps: The number of steps N, of length T / N.
        wavelet: Of WSGM: an orthogonal wavelet of PyWavelets.
        levels: Of WSGM's pyramid; none takes those that :func:`default_levels` says.
        xi: The frequency below which the spectrum is flat; none takes 2 pi / L.
        horizon: The time T at which sampling starts.

    Raises:
        ValueError: If a value makes no sense.
    """
    return _kl(factors_of(system, size, eta, wavelet, levels, xi), steps, horizon) / size**2


def factors_of(
    system: System | str,
    size: int,
    eta: float,
    wavelet: str = "db4",
    levels: int | None = None,
    xi: float | None = None,
) -> list[GaussianFactor]:
    """Return the factors that a system samples one after the other, from coarse to fine.

    Args:
        system: ``sgm`` or ``wsgm``.
        size: The side of the field.
        eta: How fast the spectrum falls.
        wavelet: Of WSGM: an orthogonal wavelet of PyWavelets.
        levels: Of WSGM's pyramid; none takes those that :func:`default_levels` says.
        xi: The frequency below which the spectrum is flat; none takes 2 pi / L.

    Raises:
        ValueError: If a value makes no sense.
    """
    spectrum = power_law(size, eta, xi)
    if System(system) is System.SGM:
        return [pixel_factor(spectrum)]
    return pyramid_factors(spectrum, wavelet, default_levels(size) if levels is None else levels)


def default_levels(size: int) -> int:
    """Return how often a side halves without falling below 4: log2(size) - 2 for powers of two.

    >>> default_levels(64), default_levels(96)
    (4, 4)
    """
    levels = 0
    while size % 2 == 0 and size // 2 >= _COARSEST:
        size //= 2
        levels += 1
    return levels


def smallest_steps(error: Callable[[int], float], threshold: float) -> int:
    """Return the smallest number of steps whose error is at or below the threshold.

    Args:
        error: The error of a number of steps; it may rise at first, as it does from 1 to 2 steps of
            a length at which Euler-Maruyama diverges, and then falls.
        threshold: The largest error.

    Raises:
        ValueError: If the threshold is not positive, or no number of steps up to 2^17 reaches it.
    """
    if threshold <= 0:
        raise ValueError(f"an error can be asked to be below a number above 0, not {threshold}")
    enough = 1
    # What is no number, because the sampler overflows, is not enough either.
    while not error(enough) <= threshold:
        if enough >= MOST_STEPS:
            raise ValueError(f"{enough} steps still leave an error above {threshold}")
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if error(middle) <= threshold:
            enough = middle
        else:
            too_few = middle
    return enough


def _kl(factors: Sequence[GaussianFactor], steps: int, horizon: float) -> float:
    """Return KL of the whole field, by the chain rule."""
    times = uniform_times(steps, horizon)
    return sum(kl_divergence(each, euler_maruyama(each.variances, times)) for each in factors)
