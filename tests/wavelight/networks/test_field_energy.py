"""Energies of fields, against their definition: sums over sites and shifts, differentiated by autograd."""

import pytest
import torch

from wavelight.networks.field_energy import FieldEnergy, shift_classes
from wavelight.wavelets import dwt2, idwt2

SIZE = 8
FIELDS = 2
SPREADS = torch.tensor([2.5, 1.5], dtype=torch.float64)


class Case:
    """An energy, fields, and its terms one by one as functions of what is free."""

    def __init__(self, wavelet):
        generator = torch.Generator().manual_seed(0)
        self.energy = FieldEnergy(SIZE, 2, 4, wavelet)
        self.wavelet = wavelet
        fields = torch.randn(FIELDS, 1, SIZE, SIZE, generator=generator)
        self.spreads = SPREADS[: self.energy.sigmoids[0]]
        self.free, self.basis, given = fields.double(), torch.eye(SIZE**2).double(), []
        if wavelet is not None:
            coarse, details = dwt2(fields, wavelet)
            half = SIZE // 2
            unit = torch.eye(3 * half**2).reshape(-1, 3, half, half)
            self.basis = idwt2(torch.zeros(len(unit), 1, half, half), unit, wavelet)
            self.basis = self.basis.double().flatten(1)
            given = [idwt2(coarse, torch.zeros_like(details), wavelet).double()]
            self.free = details.double()
        own = (self.free.flatten(1) @ self.basis).reshape(fields.shape)
        self.parts = [own, *given]

    def terms(self, free, field):
        own = (free.flatten() @ self.basis).reshape(SIZE, SIZE)
        parts = [own, *(part[field, 0] for part in self.parts[1:])]
        found = [
            # Each pair of details once, which the sum counts twice.
            (own * sum(torch.roll(part, shift, (0, 1)) for shift in shifts)).sum() / (2 - index)
            for index, part in enumerate(parts)
            for shifts in self.energy.shifts
        ]
        values = [sum(parts), sum(parts).sum() / SIZE][: len(self.spreads)]
        found += [
            torch.sigmoid((value / spread - centre) / self.energy.width).sum()
            for value, spread in zip(values, self.spreads, strict=True)
            for centre in self.energy.centres
        ]
        return torch.stack(found)

    def gradients(self, field):
        jacobian = torch.autograd.functional.jacobian(
            lambda free: self.terms(free, field), self.free[field]
        )
        return jacobian.flatten(1)

    def laplacian(self, theta, field):
        """Of the sum of the terms times theta: one term after the other takes long."""
        hessian = torch.autograd.functional.hessian(
            lambda free: theta @ self.terms(free, field), self.free[field].flatten()
        )
        return hessian.trace()


@pytest.mark.parametrize("wavelet", [None, "haar", "db4"])
def test_sums_of_score_matching_are_those_of_autograd(wavelet):
    case = Case(wavelet)
    found = case.energy.score_matching(case.parts, case.spreads)
    gradients = [case.gradients(field) for field in range(FIELDS)]
    products = sum(each @ each.T for each in gradients)
    # The transform of longer wavelets is in float32.
    scale = products.abs().max()
    torch.testing.assert_close(found.products / scale, products / scale, atol=1e-6, rtol=0)
    theta = torch.randn(len(products), generator=torch.Generator().manual_seed(1)).double()
    laplacian = sum(case.laplacian(theta, field) for field in range(FIELDS))
    torch.testing.assert_close(theta @ found.laplacian, laplacian, atol=0, rtol=1e-6)


@pytest.mark.parametrize("wavelet", [None, "haar", "db4"])
def test_gradient_is_that_of_autograd(wavelet):
    case = Case(wavelet)
    terms = len(case.terms(case.free[0], 0))
    theta = torch.randn(
        FIELDS, terms, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    parameters = case.energy.parameters_of(theta, case.spreads.expand(FIELDS, -1))
    found = case.energy(case.parts, parameters).flatten(1) @ case.basis.T
    for field in range(FIELDS):
        torch.testing.assert_close(found[field], theta[field] @ case.gradients(field))


def test_shifts_that_reflections_join_are_one_class_and_none_is_in_two():
    classes = shift_classes(8, 4)
    assert [len(each) for each in classes[:3]] == [1, 4, 4]
    assert sorted(shift for each in classes for shift in each) == [
        (row, column) for row in range(8) for column in range(8)
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"reach": 5, "sigmoids": 4}, "reach must be from 0 to half the size, 4, got 5"),
        ({"reach": 2, "sigmoids": 1}, "sigmoids must be at least 2, got 1"),
    ],
)
def test_impossible_energies_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        FieldEnergy(8, **options)
