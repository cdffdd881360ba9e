import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from torchvision.io import decode_jpeg

from tests.wavelight.metrics.toy import blotches
from wavelight.metrics import PublishedProtocol, TensorFlowProtocol
from wavelight.metrics.inception_protocols import half_mirrored, through_jpeg


def test_the_published_resize_is_pytorch_fids():
    images = blotches(3, side=32)
    large = functional.interpolate(
        images.float() / 255, size=(299, 299), mode="bilinear", align_corners=False
    )
    assert torch.equal(PublishedProtocol().resize(images), 2 * large - 1)


def test_the_default_resize_is_torch_fidelitys_and_another():
    images = blotches(3, side=32)
    ours = TensorFlowProtocol().resize(images)
    assert ours.shape == (3, 3, 299, 299)
    # Pixels of TensorFlow 1 begin where the image does; those of pytorch-fid lie half a pixel further.
    assert torch.equal(ours[..., 0, 0], (images[..., 0, 0].float() - 128) / 128)
    assert (ours - PublishedProtocol().resize(images)).abs().mean() > 0.01


def test_generated_images_go_through_jpeg_at_quality_75():
    images = blotches(4, side=32)
    found = PublishedProtocol().pictures(images, real=False)
    for image, shown in zip(images, found, strict=True):
        file = io.BytesIO()
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        Image.fromarray(pixels).save(file, "JPEG", quality=75, subsampling="4:2:0")
        expected = np.asarray(Image.open(file))
        np.testing.assert_array_equal(shown.permute(1, 2, 0).numpy(), expected)
        file = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
        assert (decode_jpeg(file).int() - shown.int()).abs().max() <= 3
    assert (found.int() - images.int()).abs().max() > 3


def test_quality_matters_and_none_leaves_images_as_they_are():
    images = blotches(4, side=32)
    errors = [
        (through_jpeg(images, quality).float() - images.float()).abs().mean()
        for quality in (10, 75, 95)
    ]
    assert errors[0] > errors[1] > errors[2] > 0
    assert torch.equal(PublishedProtocol(None).pictures(images, real=False), images)


def test_half_of_the_real_images_are_mirrored_whatever_their_batch():
    images = blotches(400)
    found = half_mirrored(images)
    mirrored = [torch.equal(one, other.flip(-1)) for one, other in zip(images, found, strict=True)]
    kept = [torch.equal(one, other) for one, other in zip(images, found, strict=True)]
    assert all(one != other for one, other in zip(mirrored, kept, strict=True))
    # 5 standard deviations of a fair coin.
    assert abs(sum(mirrored) - 200) < 50
    assert torch.equal(torch.cat([half_mirrored(part) for part in images.split(7)]), found)


def test_real_images_are_mirrored_before_jpeg_and_generated_ones_never():
    images = blotches(50, side=16)
    protocol = PublishedProtocol()
    expected = through_jpeg(half_mirrored(images), 75)
    assert torch.equal(protocol.pictures(images, real=True), expected)
    assert torch.equal(protocol.pictures(images, real=False), through_jpeg(images, 75))
    still = PublishedProtocol(mirror=False)
    assert torch.equal(still.pictures(images, real=True), through_jpeg(images, 75))


def test_identities_differ():
    protocols = [
        TensorFlowProtocol(),
        PublishedProtocol(),
        PublishedProtocol(None),
        PublishedProtocol(90),
        PublishedProtocol(mirror=False),
    ]
    assert len({protocol.identity for protocol in protocols}) == len(protocols)


def test_bad_qualities_are_errors():
    with pytest.raises(ValueError, match="jpeg_quality must be from 1 to 95, got 0"):
        PublishedProtocol(0)
