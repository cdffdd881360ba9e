"""A compiled network samples what the network samples."""

import shutil

import pytest
import torch

from tests.golden import NARROW, filled, normal
from wavelight.factors import FactorShape
from wavelight.networks import NCSNpp
from wavelight.networks.compiled import Compiled


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="compiling needs a C++ compiler")
def test_outputs_are_the_same_to_rounding() -> None:
    network = filled(NCSNpp(FactorShape.square(12, 8), **NARROW)).eval()
    inputs = (normal(1, 2, 12, 8, 8), torch.arange(2), normal(2, 2, 100))
    with torch.no_grad():
        expected = network(*inputs)
    torch.testing.assert_close(Compiled(network)(*inputs), expected, atol=1e-5, rtol=0)
