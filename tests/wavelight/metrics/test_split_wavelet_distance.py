"""The two parts of the Fréchet wavelet distance add up to it."""

import pytest
import torch

from tests.wavelight.metrics.toy import seeded
from wavelight.metrics import FrechetWaveletDistance, SplitWaveletDistance


def images(count, side):
    return torch.randint(256, (count, 3, side, side), generator=seeded(1), dtype=torch.uint8)


def test_the_distance_is_split_in_two():
    blocks = images(40, 8).repeat_interleave(2, -1).repeat_interleave(2, -2) // 2 + 40
    # Means over blocks are whole numbers.
    pattern = torch.tensor([[1, -1], [-1, 1]]).repeat(8, 8) * (images(40, 1) // 8).int()
    generated, real = (blocks + pattern)[:20].byte(), blocks[20:]
    whole, parts = FrechetWaveletDistance(8), SplitWaveletDistance(1, 16)
    measured = SplitWaveletDistance(1, 16)
    measured.update(real, real=True)
    parts.load_real_statistics(measured.real_statistics())
    whole.update(real, real=True)
    for metric in (whole, parts):
        metric.update(generated, real=False)
    values = parts.values()
    assert values["fwd_coarse"] > 0
    assert values["fwd_details"] > 0
    assert float(sum(values.values())) == pytest.approx(float(whole.compute()), rel=1e-9)
    parts.forget_generated()
    parts.update(real, real=False)
    assert max(map(abs, parts.values().values())) < 1e-6
