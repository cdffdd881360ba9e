"""A discriminator of details without batch normalization, for images of every size."""

import torch
from torch import nn
from torch.nn import functional
from typing_extensions import override

from wavelight.factors import UNCONDITIONAL
from wavelight.networks import DetailDiscriminator
from wavelight.networks.dropout import Dropout


class PlainDiscriminator(DetailDiscriminator):
    """Scores images by the mean of their features, of which it drops a quarter in training."""

    def __init__(self, shape, width):
        super().__init__(shape.channels, shape.condition_channels)
        self.stem = nn.Conv2d(shape.channels + shape.condition_channels, width, 3, padding=1)
        self.dropout = Dropout(0.25)
        self.score = nn.Linear(width, 1)

    @override
    def forward(self, x, condition=UNCONDITIONAL):
        h = functional.leaky_relu(self.stem(self.conditioned(x, condition)), 0.2)
        return self.score(torch.mean(self.dropout(h), dim=(2, 3)))
