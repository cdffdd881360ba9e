import pytest
import torch

from tests.wavelight.metrics.references import by_scipy
from tests.wavelight.metrics.toy import seeded
from wavelight.metrics import Gaussian, frechet_distance, gaussian_from_sums


def random_gaussian(dimension: int, seed: int, rank: int | None = None) -> Gaussian:
    samples = torch.randn(
        rank or 3 * dimension, dimension, generator=seeded(seed), dtype=torch.float64
    )
    mixing = torch.randn(dimension, dimension, generator=seeded(seed + 1), dtype=torch.float64)
    samples = samples @ mixing + seed
    return Gaussian(samples.mean(0), samples.T.cov().reshape(dimension, dimension))


@pytest.mark.parametrize("dimension", [1, 2, 40])
def test_equals_the_square_root_of_a_matrix(dimension):
    first, second = random_gaussian(dimension, 1), random_gaussian(dimension, 7)
    assert float(frechet_distance(first, second)) == pytest.approx(
        by_scipy(first, second), rel=1e-10
    )


def test_is_symmetric_and_zero_between_equals():
    first, second = random_gaussian(20, 1), random_gaussian(20, 7)
    there, back = frechet_distance(first, second), frechet_distance(second, first)
    assert float(there) == pytest.approx(float(back), rel=1e-10)
    assert abs(float(frechet_distance(first, first))) < 1e-9 * float(there)


def test_singular_covariances_agree_with_the_distance_in_their_common_subspace():
    # Both covariances are 0 in the last 10 of 15 coordinates.
    first, second = random_gaussian(5, 1), random_gaussian(5, 7)
    padded = [
        Gaussian(
            torch.cat([g.mean, torch.zeros(10)]),
            torch.block_diag(g.covariance, torch.zeros(10, 10)),
        )
        for g in (first, second)
    ]
    assert float(frechet_distance(*padded)) == pytest.approx(
        float(frechet_distance(first, second)), rel=1e-9
    )


def test_one_dimension_is_the_distance_of_means_and_standard_deviations():
    first = Gaussian(torch.tensor([1.0]), torch.tensor([[4.0]]))
    second = Gaussian(torch.tensor([3.0]), torch.tensor([[25.0]]))
    assert float(frechet_distance(first, second)) == pytest.approx(4 + 9)


def test_many_gaussians_at_once():
    pairs = [
        (random_gaussian(4, 1), random_gaussian(4, 7)),
        (random_gaussian(4, 3), random_gaussian(4, 9)),
    ]
    stacked = [
        Gaussian(*(torch.stack(part) for part in zip(*side, strict=True)))
        for side in zip(*pairs, strict=True)
    ]
    one_by_one = torch.stack([frechet_distance(*pair) for pair in pairs])
    torch.testing.assert_close(frechet_distance(*stacked), one_by_one)


def test_sums_of_parts_make_the_gaussian_of_the_whole():
    samples = 10 + torch.randn(50, 6, generator=seeded(0), dtype=torch.float64)
    parts = samples.split([7, 43])
    sums = (
        torch.tensor(sum(len(part) for part in parts)),
        sum(part.sum(0) for part in parts),
        sum(part.T @ part for part in parts),
    )
    mean, covariance = gaussian_from_sums(*sums)
    torch.testing.assert_close(mean, samples.mean(0))
    torch.testing.assert_close(covariance, samples.T.cov())
