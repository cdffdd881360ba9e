import pytest
import torch
from torch import distributed, multiprocessing

from tests.two_samples import values_of
from tests.wavelight.metrics.toy import seeded
from wavelight.metrics.fields import (
    FieldDistance,
    binder_cumulant,
    marginal_histogram,
    power_spectrum,
    radial_spectrum,
    spectrum_distance,
    total_variation,
)


def noise(images, side=8, channels=1, seed=0):
    return torch.randn(images, channels, side, side, generator=seeded(seed))


def wave(rows, columns, side=8):
    """A cosine of unit mean square with so many waves down and across, (1, 1, side, side)."""
    place = torch.arange(side, dtype=torch.float64) * 2 * torch.pi / side
    return 2**0.5 * torch.cos(rows * place[:, None] + columns * place)[None, None]


def test_a_wave_has_its_power_at_its_two_frequencies():
    spectrum = power_spectrum(wave(1, -3))
    expected = torch.zeros(1, 8, 8, dtype=torch.float64)
    expected[0, 1, -3] = expected[0, -1, 3] = 32
    torch.testing.assert_close(spectrum, expected)


def test_the_mean_of_the_spectrum_is_the_mean_square():
    fields = noise(20, channels=2) + 3
    torch.testing.assert_close(
        power_spectrum(fields).mean((1, 2)), fields.double().square().mean((0, 2, 3))
    )


def test_the_spectrum_is_that_of_the_circulant_covariance():
    kernel = torch.zeros(6, 6, dtype=torch.float64)
    kernel[0, 0], kernel[0, 1], kernel[2, 0] = 1, 0.5, -0.3
    gain = torch.fft.fft2(kernel)
    fields = torch.fft.ifft2(gain * torch.fft.fft2(noise(20_000, 6).double())).real
    assert ((power_spectrum(fields)[0] / gain.abs().square() - 1).abs() < 0.05).all()


def test_rings_average_over_directions():
    spectrum = torch.stack([power_spectrum(wave(0, 3) + wave(2, 2))[0]] * 3)
    frequency, power = radial_spectrum(spectrum)
    assert frequency.tolist() == [0, 1, 2, 3, 4]
    # Both lie in the ring of 3 waves (2^2 + 2^2 is 2.8^2): 4 of its 16 frequencies have power 32.
    expected = torch.tensor([0, 0, 0, 4 * 32 / 16, 0], dtype=torch.float64)
    torch.testing.assert_close(power, expected)


@pytest.mark.parametrize("side", [7, 8])
def test_a_flat_spectrum_has_flat_rings(side):
    assert (radial_spectrum(torch.full((2, side, side), 3.0)).power == 3).all()
    assert len(radial_spectrum(torch.ones(1, side, side)).power) == side // 2 + 1


def test_the_spectrum_distance_is_a_squared_norm():
    first, second = torch.randn(2, 3, 4, 4, generator=seeded(0), dtype=torch.float64)
    expected = torch.linalg.vector_norm(first - second) ** 2
    torch.testing.assert_close(spectrum_distance(first, second), expected)
    assert spectrum_distance(first, first) == 0


def test_values_fall_into_half_open_bins_and_two_outside():
    values = torch.tensor([-1.5, -1.0, -0.5, 0.0, 0.5, 0.99, 1.0, 7.0])
    shares = marginal_histogram(values, -1.0, 1.0, 2)
    assert (8 * shares).tolist() == [1, 2, 3, 2]


def test_values_that_are_no_numbers_are_not_lost():
    assert marginal_histogram(torch.tensor([0.5, torch.nan]), 0.0, 1.0, 1).tolist() == [0, 0.5, 0.5]


def test_the_histogram_of_normal_values_is_that_of_the_normal_law():
    shares = marginal_histogram(noise(1000, 32), -3.0, 3.0, 12)
    edges = torch.linspace(-3, 3, 13, dtype=torch.float64)
    below = torch.cat([torch.tensor([0.0]), torch.special.ndtr(edges), torch.tensor([1.0])])
    assert total_variation(shares, below.diff()) < 2e-3


def test_total_variation_is_one_for_disjoint_and_zero_for_equal_histograms():
    first, second = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    assert total_variation(first, second) == 1
    assert total_variation(first, first) == 0
    assert total_variation(first, torch.tensor([0.25, 0.5, 0.25])) == 0.25


def test_the_binder_cumulant_of_ordered_and_of_normal_fields():
    signs = torch.tensor([1.0, -1.0, -1.0])[:, None, None, None]
    assert float(binder_cumulant(0.7 * signs * torch.ones(3, 1, 4, 4))) == pytest.approx(2 / 3)
    assert binder_cumulant(noise(50_000, 4)).abs() < 0.03


def measure(real, generated):
    return values_of(FieldDistance(-4.0, 4.0, 20), real, generated)


def test_the_metric_is_the_two_functions():
    real, generated = noise(40), 1.5 * noise(30, seed=1)
    spectra = power_spectrum(real), power_spectrum(generated)
    histograms = [marginal_histogram(fields, -4.0, 4.0, 20) for fields in (real, generated)]

    found = measure(real, generated)

    share = spectrum_distance(*spectra) / spectrum_distance(spectra[0], torch.zeros(1, 8, 8))
    assert found == pytest.approx(
        {"spectrum": float(share), "marginal": float(total_variation(*histograms))}, rel=1e-12
    )
    assert min(found.values()) > 0.05


def test_equal_fields_are_at_distance_zero():
    fields = noise(10, channels=2)
    assert measure(fields, fields) == pytest.approx({"spectrum": 0, "marginal": 0}, abs=1e-15)


def test_fields_that_do_not_compare_are_an_error():
    metric = FieldDistance()
    with pytest.raises(ValueError, match=r"fields must be floats, got torch\.uint8"):
        metric.update(noise(2).byte(), real=True)
    metric.update(noise(2), real=True)
    with pytest.raises(
        ValueError,
        match="FieldDistance needs at least 1 real and 1 generated images, got 2 and 0",
    ):
        metric.values()
    with pytest.raises(
        ValueError,
        match=r"all images must have one size: power .* \(1, 8, 8\) so far, got \(1, 4, 4\)",
    ):
        metric.update(noise(2, 4), real=False)


def test_nothing_to_measure_is_an_error():
    for function in (power_spectrum, binder_cumulant):
        with pytest.raises(ValueError, match="a field metric needs at least one field, got none"):
            function(noise(0))
    with pytest.raises(ValueError, match="a field metric needs at least one field, got none"):
        marginal_histogram(torch.zeros(0), 0.0, 1.0, 3)
    with pytest.raises(ValueError, match=r"0 bins from 0\.0 to 1\.0"):
        marginal_histogram(noise(1), 0.0, 1.0, 0)
    with pytest.raises(ValueError, match=r"5 bins from 1\.0 to 1\.0"):
        FieldDistance(1.0, 1.0, 5)
    with pytest.raises(ValueError, match="a radial spectrum needs square images, got 4x6"):
        radial_spectrum(torch.ones(1, 4, 6))


def test_the_identity_tells_histograms_apart():
    metrics = [FieldDistance(), FieldDistance(bins=50), FieldDistance(low=-1.0)]
    assert len({metric.identity for metric in metrics}) == 3


def measure_share(rank, folder):
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    torch.set_num_threads(1)
    real, generated = noise(40), 1.5 * noise(30, seed=1)
    # Rank 1 gets less than half, then nothing at all.
    found = []
    for reals, drawns in [(25, 20), (40, 30)]:
        found.append(
            measure(real[:reals], generated[:drawns])
            if rank == 0
            else measure(real[reals:], generated[drawns:])
        )
    torch.save(found, f"{folder}/rank{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.ddp
def test_two_processes_agree_with_one(tmp_path):
    multiprocessing.spawn(measure_share, (str(tmp_path),), nprocs=2)
    alone = measure(noise(40), 1.5 * noise(30, seed=1))
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert first == second
    for found in first:
        assert found == pytest.approx(alone, rel=1e-12)
