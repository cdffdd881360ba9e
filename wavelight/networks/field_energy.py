"""Energies of periodic fields that are linear in their parameters: pair interactions, and a potential of each site.

E(z) = 1/2 sum_{u,v} K_{u-v} z_u z_v + sum_u sum_i theta_i v_i(z_u) is the ansatz of WSGM's experiment
with phi^4 (Guth et al., 2022, section 4), here with translated sigmoids for the v_i. As it is linear,
score matching is a system of linear equations.

To it we add a potential of the field's mean, sum_i eta_i v_i(m): at the critical point m has two
likely magnitudes, +m and -m, which no potential of single sites tells apart once noise has blurred
them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from wavelight.wavelets import dwt2, idwt2

_WIDTH = 0.75
"""Width of a sigmoid, in units of the distance between centres: enough for their sums to be smooth."""


class EnergyParameters(NamedTuple):
    """Parameters of N energies."""

    interactions: Tensor
    """K, ``(N, F, S)``: of the F parts of a field and the S classes of shifts."""
    potentials: Tensor
    """theta, and eta where all of a field is free, ``(N, V, P)``."""
    spreads: Tensor
    """The centres of their sigmoids lie between -spread and spread, ``(N, V)``."""


class ScoreMatching(NamedTuple):
    """The sums over fields that score matching needs, of Q = F S + V P parameters, float64."""

    products: Tensor
    """Gram matrix of the gradients of the parameters' terms, ``(Q, Q)``."""
    laplacian: Tensor
    """Sums of the terms' Laplacians, ``(Q,)``."""


class _Sigmoids(NamedTuple):
    """Sigmoids at the values of fields, ``(N, P, H, W)``."""

    rise: Tensor
    """Values of the sigmoids."""
    scale: Tensor
    """Widths of the sigmoids, ``(N, 1, 1, 1)``."""

    @property
    def slope(self) -> Tensor:
        """First derivatives of the sigmoids."""
        return self.rise * (1 - self.rise) / self.scale

    @property
    def bend(self) -> Tensor:
        """Second derivatives of the sigmoids."""
        return self.slope * (1 - 2 * self.rise) / self.scale


class FieldEnergy(nn.Module):
    """The energy of square periodic fields of one channel, as a function of all of a field or of its details alone.

    For a wavelet, a field is the sum of two parts: the synthesis of its details, whose energy this
    is, and that of LL which it is given. Pairs of the first interact by a K of their
    own and with the second by another; the potential sees the sum. Without a wavelet the field has
    one part, itself, and m = sum_u z_u / L has a potential, too.

    Args:
        size: Side of the fields.
        reach: The farthest interaction along an axis, at most ``size // 2``. Shifts that
            reflections and an exchange of the axes turn into each other share one parameter.
        sigmoids: How many make a potential, at least 2.
        wavelet: The wavelet that separates details from LL; none where all of a field is
            free.

    Raises:
        ValueError: If a number makes no sense.
    """

    symbols: Tensor
    projector: Tensor
    share: Tensor
    centres: Tensor

    def __init__(self, size: int, reach: int, sigmoids: int, wavelet: str | None = None) -> None:
        super().__init__()
        if not 0 <= reach <= size // 2:
            raise ValueError(f"reach must be from 0 to half the size, {size // 2}, got {reach}")
        if sigmoids < 2:
            raise ValueError(f"sigmoids must be at least 2, got {sigmoids}")
        self.size = size
        self.wavelet = wavelet
        self.parts = 1 if wavelet is None else 2
        self.sigmoids = (2 if wavelet is None else 1, sigmoids)
        self.shifts = shift_classes(size, reach)
        self.width = _WIDTH * 2 / (sigmoids - 1)
        self.register_buffer("symbols", _symbols(size, self.shifts))
        self.register_buffer("centres", torch.linspace(-1, 1, sigmoids, dtype=torch.float64))
        projector, share = _of_details(size, wavelet)
        self.register_buffer("projector", projector)
        self.register_buffer("share", share)

    @override
    def forward(self, parts: Sequence[Tensor], parameters: EnergyParameters) -> Tensor:
        """Return the derivative of the energy by all sites, ``(N, 1, L, L)``; its details are those by details.

        Args:
            parts: The parts of the fields, details first, ``(N, 1, L, L)`` each.
            parameters: Parameters of one energy for each field.
        """
        half = self.symbols[..., : self.size // 2 + 1].flatten(1).to(parts[0].dtype)
        symbols = (parameters.interactions @ half).unflatten(-1, (self.size, -1))
        coefficients = torch.fft.rfft2(torch.cat(list(parts), dim=1))
        pairs = torch.fft.irfft2(
            (symbols * coefficients).sum(1, keepdim=True), s=(self.size, self.size)
        )
        forces = [
            torch.einsum("np,nphw->nhw", potential, self._sigmoids(values, spread).slope)[:, None]
            for values, potential, spread in zip(
                self.values(parts),
                parameters.potentials.unbind(1),
                parameters.spreads.unbind(1),
                strict=True,
            )
        ]
        if self.wavelet is None:
            # The derivative of m by a site.
            forces[1] = forces[1] / self.size
        return sum(forces, start=pairs)

    def values(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Return what the potentials are of: the sites ``(N, 1, L, L)``, and m ``(N, 1, 1, 1)`` where it has one.

        Args:
            parts: The parts of the fields, details first, ``(N, 1, L, L)`` each.
        """
        sites = torch.stack(list(parts)).sum(0)
        if self.wavelet is not None:
            return [sites]
        return [sites, sites.sum((2, 3), keepdim=True) / self.size]

    def score_matching(self, parts: Sequence[Tensor], spreads: Tensor) -> ScoreMatching:
        """Return the sums of score matching over fields (Hyvarinen, 2005, section 4: a quadratic form of parameters).

        Args:
            parts: The parts of the fields, details first, ``(N, 1, L, L)`` each.
            spreads: Half the range of the sigmoids' centres of each potential, ``(V,)``.
        """
        sigmoids = [
            self._sigmoids(values, spread.expand(len(values)))
            for values, spread in zip(self.values(parts), spreads, strict=True)
        ]
        symbols = self._blocks(self.symbols)
        fields = self._blocks(torch.fft.fft2(torch.cat(list(parts), dim=1), norm="ortho"))
        forces = self._blocks(
            torch.cat([self._coefficients(each.slope) for each in sigmoids], dim=1)
        )
        projector = self.projector.to(fields.dtype)
        if self.wavelet is not None:
            forces = torch.einsum("bij,npbj->npbi", projector, forces)
        moments = torch.einsum("nfbi,ngbj->fgbij", fields.conj(), fields)
        # Symbols are real, and so is the sum over a frequency and its opposite.
        pairs = torch.einsum(
            "sbi,fgbij,tbj->fsgt", symbols, (projector * moments).real.double(), symbols
        )
        mixed = torch.einsum("nfbi,npbi->fpbi", fields.conj(), forces).real.double()
        mixed = torch.einsum("sbi,fpbi->fsp", symbols, mixed).flatten(0, 1)
        flat = torch.view_as_real(forces).transpose(0, 1).flatten(1)
        products = torch.cat(
            [
                torch.cat([pairs.reshape(len(mixed), len(mixed)), mixed], dim=1),
                torch.cat([mixed.T, (flat @ flat.T).double()], dim=1),
            ]
        )
        trace = torch.einsum("sbi,bii->s", symbols, self.projector.real) * len(fields)
        # A product of details and of what is given has no Laplacian.
        given = trace.new_zeros(len(mixed) - len(trace))
        weights = (self.share, self.share.new_ones(1, 1))
        bent = [
            torch.einsum("nphw,hw->p", each.bend.double(), weight)
            for each, weight in zip(sigmoids, weights, strict=False)
        ]
        return ScoreMatching(products, torch.cat([trace, given, *bent]))

    def parameters_of(self, theta: Tensor, spreads: Tensor) -> EnergyParameters:
        """Give vectors of parameters ``(N, Q)`` the names that they have in an energy."""
        interactions, potentials = theta.tensor_split([self.parts * len(self.shifts)], dim=1)
        return EnergyParameters(
            interactions.unflatten(1, (self.parts, -1)),
            potentials.unflatten(1, self.sigmoids),
            spreads,
        )

    def _coefficients(self, slope: Tensor) -> Tensor:
        """Return those of the gradients, ``(N, P, L, L)``, of potentials' derivatives at sites or at m."""
        if slope.shape[-1] == self.size:
            return torch.fft.fft2(slope, norm="ortho")
        padding = self.size - 1
        return nn.functional.pad(slope, (0, padding, 0, padding)).to(slope.dtype.to_complex())

    def _sigmoids(self, values: Tensor, spread: Tensor) -> _Sigmoids:
        """Return the sigmoids of a potential at values ``(N, 1, H, W)``, given spreads ``(N,)``."""
        scale = (self.width * spread)[:, None, None, None]
        centres = (self.centres / self.width).to(values.dtype)[:, None, None]
        return _Sigmoids(torch.sigmoid(values / scale - centres), scale)

    def _blocks(self, coefficients: Tensor) -> Tensor:
        """Put frequencies that LL confuses beside each other, ``(..., B, A)``."""
        if self.wavelet is None:
            return coefficients.flatten(-2)[..., None]
        half = self.size // 2
        aliases = coefficients.unflatten(-1, (2, half)).unflatten(-3, (2, half))
        return aliases.movedim((-4, -2), (-2, -1)).flatten(-2).flatten(-3, -2)


def shift_classes(size: int, reach: int) -> list[list[tuple[int, int]]]:
    """Return the shifts of a periodic lattice up to ``(reach, reach)``, those of equal interaction together.

    Args:
        size: Side of the lattice.
        reach: The farthest shift along an axis.

    Returns:
        For each ``(a, b)`` with 0 <= b <= a <= reach, in that order, the different shifts that
        reflections and an exchange of the axes make of it.
    """
    classes = []
    for a in range(reach + 1):
        for b in range(a + 1):
            images = {(p * s, q * t) for p, q in ((a, b), (b, a)) for s in (1, -1) for t in (1, -1)}
            classes.append(sorted({(row % size, column % size) for row, column in images}))
    return classes


def _symbols(size: int, classes: list[list[tuple[int, int]]]) -> Tensor:
    """Return what each class of shifts multiplies Fourier coefficients by, ``(S, L, L)`` float64."""
    kernels = torch.zeros(len(classes), size, size, dtype=torch.float64)
    for kernel, shifts in zip(kernels, classes, strict=True):
        for shift in shifts:
            kernel[shift] = 1
    return torch.fft.fft2(kernels).real


def _of_details(size: int, wavelet: str | None) -> tuple[Tensor, Tensor]:
    """Return the projector on details, in blocks of frequencies, and its diagonal for sites.

    Returns:
        ``(B, A, A)`` complex128: A frequencies share one of LL's. And ``(L, L)``
        float64, which depends on whether a site's row and column are even.
    """
    if wavelet is None:
        ones = torch.ones(size, size, dtype=torch.float64)
        return ones.flatten()[:, None, None].to(torch.complex128), ones
    half = size // 2
    single = torch.zeros(1, 1, half, half)
    single[..., 0, 0] = 1
    wave = idwt2(single, torch.zeros(1, 3, half, half), wavelet)[0, 0].double()
    aliases = torch.fft.fft2(wave).reshape(2, half, 2, half).permute(1, 3, 0, 2).reshape(-1, 4)
    # Rounded filters are not quite of length 1.
    aliases = aliases / torch.linalg.vector_norm(aliases, dim=1, keepdim=True)
    coarse = aliases[:, :, None] * aliases[:, None, :].conj()
    sites = torch.zeros(4, 1, size, size)
    for site, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        sites[site, 0, row, column] = 1
    share = dwt2(sites, wavelet)[1].double().square().sum((1, 2, 3))
    return torch.eye(4) - coarse, share.reshape(2, 2).repeat(half, half)
