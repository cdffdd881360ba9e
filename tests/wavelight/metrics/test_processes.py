"""Two processes agree with one, however the images are shared out."""

import pytest
import torch
from torch import distributed, multiprocessing

from tests.two_samples import values_of
from tests.wavelight.metrics.toy import ClassFeatures, blotches
from wavelight.metrics import (
    FeatureMetrics,
    FrechetWaveletDistance,
    ImageMetric,
    InceptionScore,
    KernelDistance,
    Neighbours,
    pairs,
)

REAL, DRAWN = 70, 61


def metrics() -> list[ImageMetric]:
    measures = [Neighbours(), KernelDistance(), InceptionScore()]
    of_features = FeatureMetrics(ClassFeatures(), "toy_distance", measures)
    of_subsets = FeatureMetrics(ClassFeatures(), "other_distance", [KernelDistance(7, 20)])
    both = [FrechetWaveletDistance(4), of_features, of_subsets]
    for metric in both:
        metric.prepare()
    return both


def measure(real, generated) -> dict[str, float]:
    values: dict[str, float] = {}
    for metric in metrics():
        for name, value in values_of(metric, real, generated).items():
            values[f"{name} of subsets" if name in values else name] = value
    return values


def measure_share(rank, folder):
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    torch.set_num_threads(1)
    # So that each process has several blocks.
    pairs.ROWS, pairs.COLUMNS = 16, 24
    real, generated = blotches(REAL, seed=1), blotches(DRAWN, seed=2, noise=50)
    # Rank 1 gets less than half, then nothing of the generated, then nothing at all.
    cases = {"uneven": (30, 50), "undrawn": (30, DRAWN), "empty": (REAL, DRAWN)}
    found = {}
    for name, (reals, drawns) in cases.items():
        share = (
            [real[:reals], generated[:drawns]] if rank == 0 else [real[reals:], generated[drawns:]]
        )
        found[name] = measure(*share)
    torch.save(found, f"{folder}/rank{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.ddp
def test_two_processes_agree_with_one(tmp_path):
    multiprocessing.spawn(measure_share, (str(tmp_path),), nprocs=2)
    alone = measure(blotches(REAL, seed=1), blotches(DRAWN, seed=2, noise=50))
    assert list(alone) == [
        *("fwd", "toy_distance", "precision", "recall", "density", "coverage", "kid"),
        *("inception_score", "inception_score_std", "other_distance", "kid of subsets", "kid_std"),
    ]
    for name in ("precision", "recall", "density", "coverage"):
        assert 0 < alone[name] < 1
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert first == second
    for found in first.values():
        assert found["fwd"] == pytest.approx(alone["fwd"], rel=1e-12)
        assert found == pytest.approx(alone, rel=1e-6)
