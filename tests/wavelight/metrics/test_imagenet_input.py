import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from tests.wavelight.metrics.toy import blotches, seeded
from wavelight.metrics import FeatureMetrics, FeatureNetworkMetrics, write_feature_network
from wavelight.metrics.feature_extractor import FeatureExtractor
from wavelight.metrics.imagenet_input import ImageNetInput

SIDE = 28


class SmallTransformer(nn.Module):
    """Patches of 14 pixels, a class token, attention: as DINOv2, but small."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.patches = nn.Conv2d(3, 16, 14, stride=14)
            self.token = nn.Parameter(torch.randn(1, 1, 16))
            self.query_key_value = nn.Linear(16, 48)

    def forward(self, images):
        patches = self.patches(images).flatten(2).mT
        tokens = torch.cat([self.token.expand(images.shape[0], -1, -1), patches], 1)
        query, key, value = self.query_key_value(tokens).chunk(3, -1)
        return nn.functional.scaled_dot_product_attention(query, key, value)[:, 0]


class InMemory(FeatureExtractor):
    num_features = 16
    identity = "in memory"

    def __init__(self):
        super().__init__()
        self.network = ImageNetInput(SmallTransformer(), SIDE)

    def forward(self, images):
        return self.network(images)


@pytest.mark.parametrize("side", [16, 28, 64])
def test_the_input_is_pillows_resize_and_torchvisions_colours(side):
    images = blotches(4, side=side)
    found = ImageNetInput(nn.Identity()).pictures(images)
    colours = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    for image, ours in zip(images, found, strict=True):
        pillow = Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
        resized = np.array(pillow.resize((224, 224), Image.Resampling.BICUBIC))
        theirs = colours(torch.from_numpy(resized).permute(2, 0, 1) / 255)
        # Pillow's weights are whole numbers, which round otherwise once in a hundred pixels, in each of two passes.
        levels = (ours - theirs).abs() * 255 * 0.229
        assert levels.max() < 2.1
        assert levels.mean() < 0.02


def test_images_of_the_inputs_size_are_not_resized():
    images = blotches(2, side=SIDE)
    network = ImageNetInput(nn.Identity(), SIDE)
    restored = network.pictures(images) * network.deviation + network.mean
    torch.testing.assert_close(restored * 255, images.float(), rtol=0, atol=1e-4)


def test_a_grey_image_is_one_of_three_equal_colours():
    grey = torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8, generator=seeded(0))
    network = ImageNetInput(SmallTransformer().eval(), SIDE)
    torch.testing.assert_close(network(grey), network(grey.repeat(1, 3, 1, 1)))


@pytest.mark.slow
def test_a_distance_through_the_written_network_is_that_of_the_network_in_memory(tmp_path):
    path = tmp_path / "transformer.pt2"
    write_feature_network(ImageNetInput(SmallTransformer().eval(), SIDE), path, image_size=16)
    real, generated = blotches(40, side=16, seed=1), blotches(30, side=16, seed=2, noise=60)
    found = []
    for metric in (
        FeatureNetworkMetrics(path, "fd_dinov2"),
        FeatureMetrics(InMemory(), "fd_dinov2"),
    ):
        metric.prepare()
        metric.update(real, real=True)
        metric.update(generated, real=False)
        found.append({name: float(value) for name, value in metric.values().items()})
    assert found[0]["fd_dinov2"] > 0
    assert found[0] == pytest.approx(found[1], rel=1e-4)
