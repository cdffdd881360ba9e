import pytest
import torch

from wavelight.support.pictures import to_uint8


def test_rounds_to_the_nearest_byte_and_clamps():
    images = torch.tensor([-1.2, -1.0, -0.9999, 0.0, 0.998, 1.0, 1.01])
    assert to_uint8(images).tolist() == [0, 0, 0, 128, 255, 255, 255]


def test_every_byte_survives_the_way_to_floats_and_back():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(every.float() / 127.5 - 1), every)
    assert torch.equal(to_uint8(every.float() / 255, (0.0, 1.0)), every)
    assert torch.equal(to_uint8(every), every)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_computes_in_float32_whatever_comes(dtype):
    images = torch.tensor([-1.0, 0.25, 1.0], dtype=dtype)
    assert to_uint8(images).tolist() == [0, 159, 255]
