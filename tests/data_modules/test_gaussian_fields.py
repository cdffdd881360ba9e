import pickle

import numpy as np
import pytest
import torch

from data_modules import GaussianFields, WaveletDataModule
from data_modules.errors import DataError
from data_modules.gaussian_fields import power_law
from wavelight.theory.spectra import power_law as power_law_of_theory


def fields(source, size):
    """All fields of a source, (images, size, size), in float64."""
    return torch.cat([source.read(index, size).image for index in range(len(source))]).double()


@pytest.mark.parametrize(("size", "eta"), [(16, 1.0), (16, 2.0), (9, 1.5)])
def test_the_spectrum_is_the_power_law_with_unit_variance(size, eta):
    spectrum = power_law(size, eta)

    def at(row, column):
        waves = np.hypot(row, column)
        return 1 / ((2 * np.pi / size) ** eta + (2 * np.pi * waves / size) ** eta)

    assert spectrum.mean() == pytest.approx(1, abs=1e-14)
    for row, column in [(0, 1), (2, -3), (-1, 4), (-size // 2 + 1, 0)]:
        assert spectrum[row, column] / spectrum[0, 0] == pytest.approx(at(row, column) / at(0, 0))


@pytest.mark.parametrize(("eta", "size", "condition"), [(1, 16, 12.3), (1, 64, 46.3), (2, 16, 129)])
def test_condition_numbers_are_those_of_the_golden_table(eta, size, condition):
    spectrum = power_law(size, eta)
    assert spectrum.max() / spectrum.min() == pytest.approx(condition, rel=0.005)


@pytest.mark.parametrize("size", [8, 7])
def test_the_covariance_of_many_fields_is_the_circulant_of_the_spectrum(size):
    generated = fields(GaussianFields(4000, 2.0), size)
    spectrum = torch.from_numpy(power_law(size, 2.0))

    found = torch.fft.fft2(generated, norm="ortho").abs().square().mean(0)
    assert ((found / spectrum - 1).abs() < 0.15).all()
    assert generated.mean().abs() < 4 * (spectrum[0, 0] / generated.numel()).sqrt()
    # Also between frequencies: no two are correlated.
    covariance = generated.flatten(1).T @ generated.flatten(1) / len(generated)
    expected = torch.fft.ifft2(spectrum).real
    shifts = [
        expected.roll((row, column), (0, 1)).flatten()
        for row in range(size)
        for column in range(size)
    ]
    assert (covariance - torch.stack(shifts)).abs().max() < 0.12


@pytest.mark.parametrize("xi", [None, 0.7])
def test_the_fields_are_those_of_the_exact_theory(xi):
    np.testing.assert_allclose(power_law(16, 1.5, xi), power_law_of_theory(16, 1.5, xi), rtol=1e-12)


def test_a_cut_off_flattens_the_low_frequencies():
    flat = power_law(32, 2.0, xi=100.0)
    assert flat.max() / flat.min() < 1.01
    assert power_law(32, 0.0).std() == 0


def test_a_field_depends_on_nothing_but_seed_number_and_size():
    source = GaussianFields(10, 1.0)
    first = source.read(5, 16)
    source.read(8, 32)
    again = GaussianFields(6, 1.0).read(5, 16)

    assert torch.equal(first.image, again.image)
    assert first.label == -1
    assert first.image.shape == (1, 16, 16)
    assert first.image.dtype == torch.float32
    assert not torch.equal(first.image, GaussianFields(10, 1.0, seed=1).read(5, 16).image)
    assert not torch.equal(first.image, source.read(6, 16).image)


def test_batches_are_the_fields_themselves():
    source = GaussianFields(6, 1.0)
    data = WaveletDataModule(source, image_size=16, batch_size=3, num_workers=0, flip=False)

    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.reference_dataloader()]

    images = torch.cat([batch["image"] for batch in batches])
    assert images.dtype == torch.float32
    assert torch.equal(images[:, 0].double(), fields(source, 16))
    assert images.abs().max() > 1.5
    assert (data.channels, data.value_range) == (1, None)


def test_bands_of_white_noise_have_unit_variance(tmp_path):
    data = WaveletDataModule(
        GaussianFields(50, 0.0), image_size=16, batch_size=3, num_workers=0, cache_dir=tmp_path
    )
    for level in data.band_statistics("haar", 2)[1:]:
        assert (level.details.std - 1).abs().max() < 0.1
        assert (level.coarse.std - 1).abs().max() < 0.1


def test_the_pickle_is_small():
    source = GaussianFields(6, 1.0)
    source.read(0, 64)
    pickled = pickle.dumps(source)
    assert len(pickled) < 300
    assert torch.equal(pickle.loads(pickled).read(3, 16).image, source.read(3, 16).image)


def test_impossible_settings_are_refused():
    with pytest.raises(DataError, match="images must be at least 1, got 0"):
        GaussianFields(0, 1.0)
    with pytest.raises(DataError, match="seed must not be negative, got -1"):
        GaussianFields(1, 1.0, seed=-1)
    with pytest.raises(
        DataError,
        match=r"eta must not be negative, got -1\.0: the power spectrum falls with frequency",
    ):
        GaussianFields(1, -1.0)
    with pytest.raises(
        DataError, match=r"xi must be positive, got 0\.0: leave it out for 2 pi / size"
    ):
        GaussianFields(1, 1.0, xi=0.0)
    with pytest.raises(DataError, match="image_size must be at least 1, got 0"):
        GaussianFields(1, 1.0).check(0)
    with pytest.raises(IndexError, match="0 to 2"):
        GaussianFields(3, 1.0).read(3, 16)


def test_the_description_tells_sources_apart():
    sources = [
        GaussianFields(10, 1.0),
        GaussianFields(11, 1.0),
        GaussianFields(10, 2.0),
        GaussianFields(10, 1.0, seed=1),
        GaussianFields(10, 1.0, xi=0.5),
    ]
    assert len({source.description for source in sources}) == 5
