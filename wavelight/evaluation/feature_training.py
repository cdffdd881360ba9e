"""The training of a classifier on labelled images."""

import sys

import torch
from torch import Tensor
from torch.nn import functional

from data_modules.batches import OnePass
from data_modules.source import Source
from data_modules.unusable import UnusableImages
from wavelight.metrics.feature_classifier import Classifier
from wavelight.support.pictures import to_uint8

_BATCH = 64


_LEARNING_RATE = 0.1


def read_labelled(part: Source, image_size: int) -> tuple[Tensor, Tensor]:
    """Return all images of a source, ``(N, C, H, W)`` uint8, and their classes, ``(N,)`` int64.

    Raises:
        DataError: If one cannot be read.
        ValueError: If one has no class, or values without bounds.
    """
    if part.value_range is None:
        raise ValueError(
            "training features needs images with bounds (pictures), and this source has none"
        )
    images = OnePass(part, image_size, None)
    batch = UnusableImages(limit=0).receive(images[range(images.images)])
    outside = (batch["label"] < 0).nonzero()
    if len(outside):
        raise ValueError(
            f"{part.name(int(outside[0]))} has no class: put each image in a folder of its class"
        )
    return to_uint8(batch["image"], part.value_range), batch["label"]


def train_classifier(
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
def accuracy(classifier: Classifier, images: Tensor, labels: Tensor) -> float:
    """Return the share of images ``(N, C, H, W)`` that are classified right."""
    device = classifier.linear.weight.device
    logits = torch.cat([classifier(batch.to(device)).cpu() for batch in images.split(_BATCH)])
    return float((logits.argmax(1) == labels).double().mean())
