"""What models have in common: steps that are fixed, unless a model says otherwise."""

from functools import partial

import pytest
import torch

from tests.systems import denoising_gan, detail_gan, regression, scoring
from wavelight.factors import FactorShape
from wavelight.models import LinearGaussian

ADAM = partial(torch.optim.Adam, lr=1e-3)


@pytest.mark.parametrize(
    ("build", "shape", "name"),
    [
        (denoising_gan(), FactorShape.square(3, 8), "DenoisingGAN"),
        (detail_gan(), FactorShape.square(9, 8, 3), "DetailGAN"),
        (regression(), FactorShape.square(9, 8, 3), "DetailRegression"),
        (scoring(), FactorShape.square(9, 8, 3), "DetailScoring"),
        (
            partial(LinearGaussian, kernel_size=3, optimizer=ADAM),
            FactorShape.square(9, 8, 3),
            "LinearGaussian",
        ),
    ],
)
def test_steps_of_a_model_whose_weights_depend_on_them_are_fixed(build, shape, name):
    model = build(shape)
    assert model.steps is None
    with pytest.raises(ValueError, match=f"steps must be left out for {name}, .*, got 7"):
        model.take_steps(7)
    assert model.steps is None
