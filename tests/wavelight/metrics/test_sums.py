"""A new metric of features is a few lines on the base of sums, in one process and in two."""

import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn import functional
from typing_extensions import override

from tests.two_samples import values_of
from tests.wavelight.metrics.toy import ToyFeatures, blotches, seeded
from wavelight.metrics import FeatureMetrics, SumMetric

SIDES = {"real": (40, 1), "generated": (30, 2)}


class KernelDistance(SumMetric):
    """KID (Bińkowski et al., 2018) over all pairs at once, by the explicit embedding of its cubic kernel."""

    identity = "kid of all pairs"
    least = 2

    def __init__(self):
        super().__init__("embedded", "diagonal")

    @override
    def update(self, features, real):
        x = functional.pad(features.double() / features.shape[1] ** 0.5, (0, 1), value=1)
        embedded = torch.einsum("ni,nj,nk->nijk", x, x, x)
        self.add(real, len(x), embedded=embedded.sum(0), diagonal=embedded.square().sum())

    @override
    def compute(self):
        one, other = self.totals()
        across = (one["embedded"] * other["embedded"]).sum() / (one["count"] * other["count"])
        return {"kid": _within(one) + _within(other) - 2 * across}


def _within(side):
    pairs = side["count"] * (side["count"] - 1)
    return (side["embedded"].square().sum() - side["diagonal"]) / pairs


def kid_by_pairs(real, generated):
    def kernel(x, y):
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x):
        return (kernel(x, x).sum() - kernel(x, x).trace()) / (len(x) * (len(x) - 1))

    return within(real) + within(generated) - 2 * kernel(real, generated).mean()


def features(side):
    count, seed = SIDES[side]
    return torch.randn(count, 5, generator=seeded(seed)) + seed / 4


def measure(real, generated):
    return values_of(KernelDistance(), real, generated)["kid"]


def test_the_new_metric_is_that_of_all_pairs():
    real, generated = features("real"), features("generated")
    expected = kid_by_pairs(real.double(), generated.double())
    assert measure(real, generated) == pytest.approx(float(expected), rel=1e-9)


def test_statistics_are_the_sums_by_name():
    metric = KernelDistance()
    metric.update(features("real"), real=True)
    statistics = metric.real_statistics()
    assert {name: tuple(value.shape) for name, value in statistics.items()} == {
        "count": (),
        "embedded": (6, 6, 6),
        "diagonal": (),
    }
    assert statistics["count"] == 40


def test_too_few_samples_and_other_shapes_are_errors():
    metric = KernelDistance()
    metric.update(features("real"), real=True)
    with pytest.raises(
        ValueError,
        match="KernelDistance needs at least 2 real and 2 generated images, got 40 and 0",
    ):
        metric.values()
    with pytest.raises(
        ValueError,
        match=r"embedded of KernelDistance has shape \(6, 6, 6\) so far, got \(4, 4, 4\)",
    ):
        metric.update(torch.zeros(2, 3), real=False)


def test_further_metrics_share_the_pass_of_the_network():
    real, generated = blotches(50, seed=1), blotches(60, seed=2, noise=60)
    plain, extended = (
        FeatureMetrics(ToyFeatures(), "toy_distance", further=further)
        for further in ([], [KernelDistance()])
    )
    for metric in (plain, extended):
        metric.prepare()
        metric.update(real, real=True)
        statistics = metric.real_statistics()
        metric.reset()
        metric.load_real_statistics(statistics)
        metric.update(generated, real=False)
    values, network = extended.values(), extended.features
    expected = kid_by_pairs(network(real).double(), network(generated).double())
    assert float(values.pop("kid")) == pytest.approx(float(expected), rel=1e-9)
    assert values == plain.values()
    assert network.runs == 2 + 2
    assert (
        extended.identity.replace(", kid of all pairs", "") == plain.identity != extended.identity
    )
    assert statistics.keys() - plain.real_statistics().keys() == {
        "sums1.count",
        "sums1.embedded",
        "sums1.diagonal",
    }


def measure_share(rank, folder):
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    torch.set_num_threads(1)
    real, generated = features("real"), features("generated")
    # Rank 1 gets less than half, then nothing at all.
    found = []
    for reals, others in [(25, 20), (40, 30)]:
        share = (
            (real[:reals], generated[:others]) if rank == 0 else (real[reals:], generated[others:])
        )
        found.append(measure(*share))
    torch.save(found, f"{folder}/rank{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.ddp
def test_two_processes_agree_with_one(tmp_path):
    multiprocessing.spawn(measure_share, (str(tmp_path),), nprocs=2)
    alone = measure(features("real"), features("generated"))
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert first == second
    assert first == pytest.approx([alone, alone], rel=1e-12)
