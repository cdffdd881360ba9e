"""A network that sees images as vectors, from labelled images: ``python -m wavelight train_features``."""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from data_modules.batches import OnePass, UnusableImages
from data_modules.source import Source
from wavelight.devices import find_device
from wavelight.errors import check_least
from wavelight.metrics import to_uint8, write_feature_network
from wavelight.metrics.feature_network import check_network_name

_STRIDES = (1, 2, 2, 2)
"""Of the blocks; each stride of 2 doubles the channels."""

_BATCH = 64
_LEARNING_RATE = 0.1


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al., 2016, figure 2)."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        first, second = _convolution(inside, outside, 3, stride), _convolution(outside, outside, 3)
        self.layers = nn.Sequential(first, nn.ReLU(), second)
        self.shortcut = _convolution(inside, outside, 1, stride)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.layers(x) + self.shortcut(x))


def _convolution(inside: int, outside: int, side: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inside, outside, side, stride, padding=(side - 1) // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside))


class Features(nn.Module):
    """Maps images to the spatial means of all layers: a stem, and a few residual blocks.

    Not those of the last block alone: to tell classes apart it learns to overlook blur and noise,
    which the early layers see.

    Args:
        channels: Channels of the images.
        width: Channels of the stem; there are 16 times as many features.
    """

    scales: Tensor
    """What the means of each layer are divided by, ``(layers,)``."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        # Half the resolution from the start: the first layers would cost most of the time.
        stem = nn.Sequential(_convolution(channels, width, 4, stride=2), nn.ReLU())
        self.layers = nn.ModuleList([stem])
        self.sizes = [width]
        for stride in _STRIDES:
            self.layers.append(Block(width, stride * width, stride))
            width *= stride
            self.sizes.append(width)
        self.register_buffer("scales", torch.ones(len(self.layers)))
        self.to(memory_format=torch.channels_last)

    def means(self, images: Tensor) -> list[Tensor]:
        """Return the means of each layer, ``(N, channels of the layer)``, of images in [0, 255]."""
        x = images.float() / 127.5 - 1
        means = []
        for layer in self.layers:
            x = layer(x)
            means.append(x.mean((2, 3)))
        return means

    @torch.no_grad()
    def equalise(self, images: Tensor) -> None:
        """Choose the scales by which the means of each layer have variances over images that sum to 1.

        Args:
            images: ``(N, C, H, W)`` uint8.
        """
        parts = zip(*(self.means(batch) for batch in images.split(_BATCH)), strict=True)
        for scale, part in zip(self.scales, parts, strict=True):
            scale.copy_(torch.cat(part).var(0).sum().sqrt())

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Return features, ``(N, sum(sizes))`` float32, of ``(N, C, H, W)`` images in [0, 255]."""
        scaled = zip(self.means(images), self.scales, strict=True)
        return torch.cat([means / scale for means, scale in scaled], 1)


class Classifier(nn.Module):
    """Tells classes apart by the means of the last layer; returns logits ``(N, classes)``."""

    def __init__(self, features: Features, classes: int) -> None:
        super().__init__()
        self.features = features
        self.linear = nn.Linear(features.sizes[-1], classes)

    @override
    def forward(self, images: Tensor) -> Tensor:
        return self.linear(self.features.means(images)[-1])


def train_features(
    out: Path,
    *,
    source: Source,
    image_size: int,
    held_out: int = 1024,
    epochs: int = 8,
    width: int = 32,
    flip: bool = True,
    seed: int = 0,
    device: str | None = None,
) -> str:
    """Train a small classifier of labelled images, and write its features for FeatureNetworkMetrics.

    The Fréchet distance, precision and recall through them compare systems on the same images by the
    same file. They are no FID, and compare with no published number. Of shards, only the part that
    `prepare` did not hold out is trained on, so that held-out images can be measured without bias.
    On a CPU the same seed gives the same file.

    Args:
        out: The file to write, ending in .pt2.
        source: Labelled images: any source class that has labels, such as ``Shards``,
            ``ImageFolder`` or ``CIFAR10``, with its options, like ``--source.path``; in a folder of
            folders, or a zip of them, a folder is a class.
        image_size: Height and width in pixels of the images that are to be measured, at least 8.
        held_out: How many images are not trained on, but tell the accuracy. Data modules that hold
            as many out of the same source set the same ones aside.
        epochs: How often each image is looked at.
        width: Channels of the first layer; there are 16 times as many features.
        flip: Mirror half of the images in training; not for images whose sides matter, as digits'.
        seed: Of the initial weights, and of the order, shifts and flips of images.
        device: Where to train: cpu, cuda, cuda:1, mps; none takes a GPU if there is one.

    Returns:
        What was made, in a sentence.

    Raises:
        DataError: If the images cannot be read, or not as many can be held out.
        ValueError: If a value makes no sense, or if images have no classes.
    """
    check_network_name(out)
    least = {"image_size": (image_size, 8), "held_out": (held_out, 1)}
    least |= {"epochs": (epochs, 1), "width": (width, 1)}
    check_least(least)
    target = find_device(device)
    source.fetch()
    classes = len(source.class_names)
    if classes < 2:
        raise ValueError(
            f"features are learnt by telling classes apart, and there are {classes}: each folder of images is one"
        )
    training, aside = (_read(part, image_size) for part in source.split(held_out) if part)
    images, labels = training
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = Features(images.shape[1], width)
        classifier = Classifier(features, classes).to(target)
    _train(classifier, images, labels, epochs, flip, seed)
    accuracy = _accuracy(classifier.eval(), *aside)
    features.cpu().equalise(images)
    write_feature_network(features, out, image_size, images.shape[1])
    return (
        f"{out} sees images as {sum(features.sizes)} numbers; trained to tell {classes} classes apart on "
        f"{len(images):,} images, it is right on {accuracy:.1%} of {held_out:,} held-out ones"
    )


def _read(part: Source, image_size: int) -> tuple[Tensor, Tensor]:
    """Return all images of a source, ``(N, C, H, W)`` uint8, and their classes, ``(N,)`` int64.

    Raises:
        DataError: If one cannot be read.
        ValueError: If one has no class, or values without bounds.
    """
    if part.value_range is None:
        raise ValueError("features are of pictures, and the images of this source have no bounds")
    images = OnePass(part, image_size, None)
    batch = UnusableImages(limit=0).receive(images[range(images.images)])
    outside = (batch["label"] < 0).nonzero()
    if len(outside):
        raise ValueError(f"{part.name(int(outside[0]))} lies in no folder of a class")
    return to_uint8(batch["image"], part.value_range), batch["label"]


def _train(
    classifier: Classifier, images: Tensor, labels: Tensor, epochs: int, flip: bool, seed: int
) -> None:
    """Train by stochastic gradient descent with one cycle of the learning rate (Smith, 2018)."""
    device = classifier.linear.weight.device
    random = torch.Generator().manual_seed(seed)
    batch_size = min(_BATCH, len(labels))
    steps = len(labels) // batch_size
    optimizer = torch.optim.SGD(
        classifier.parameters(), _LEARNING_RATE, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LEARNING_RATE, epochs * steps)
    for epoch in range(epochs):
        total = torch.zeros((), device=device)
        order = torch.randperm(len(labels), generator=random)
        # Without the incomplete batch, of which batch normalization could be wrong.
        for chosen in order[: steps * batch_size].split(batch_size):
            logits = classifier(vary(images[chosen], flip, random).to(device))
            loss = functional.cross_entropy(logits, labels[chosen].to(device), label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            total += loss.detach()
        sys.stderr.write(f"epoch {epoch + 1} of {epochs}: loss {float(total) / steps:.4g}\n")


def vary(images: Tensor, flip: bool, random: torch.Generator) -> Tensor:
    """Shift each image by up to an eighth of its side, and mirror every other one by chance.

    Args:
        images: ``(N, C, H, H)`` uint8.
        flip: Whether images are mirrored.
        random: Where chance comes from.

    Returns:
        Floats of the same shape in [0, 255]; what comes in at an edge mirrors what is beside it.
    """
    number, side = images.shape[0], images.shape[-1]
    margin = side // 8
    padded = functional.pad(images.float(), (margin,) * 4, mode="reflect")
    down, right = torch.randint(2 * margin + 1, (2, number), generator=random)
    windows = padded.unfold(2, side, 1).unfold(3, side, 1)
    shifted = windows[torch.arange(number), :, down, right]
    mirrored = flip & torch.randint(2, (number, 1, 1, 1), generator=random).bool()
    return torch.where(mirrored, shifted.flip(-1), shifted)


@torch.no_grad()
def _accuracy(classifier: Classifier, images: Tensor, labels: Tensor) -> float:
    device = classifier.linear.weight.device
    logits = torch.cat([classifier(batch.to(device)).cpu() for batch in images.split(_BATCH)])
    return float((logits.argmax(1) == labels).double().mean())
