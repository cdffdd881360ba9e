"""Metrics of two samples, used as a run uses them."""

from torch import Tensor, distributed

from wavelight.metrics.base import TwoSampleMetric


def values_of(metric: TwoSampleMetric, real: Tensor, generated: Tensor) -> dict[str, float]:
    """Return all values; real samples go through their statistics, which one process loads."""
    for part in real.split(9):
        metric.update(part, real=True)
    statistics = metric.real_statistics()
    metric.reset()
    if not distributed.is_initialized() or distributed.get_rank() == 0:
        metric.load_real_statistics(statistics)
    # Twice: statistics must not grow with each look.
    for _ in range(2):
        metric.forget_generated()
        for part in generated.split(8):
            metric.update(part, real=False)
        values = metric.values()
    return {name: float(value) for name, value in values.items()}
