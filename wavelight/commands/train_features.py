"""``wavelight train_features``: a network for FeatureNetworkMetrics."""

from pathlib import Path

import torch

from data_modules.source import Source
from wavelight.evaluation.feature_training import accuracy, read_labelled, train_classifier
from wavelight.metrics import write_feature_network
from wavelight.metrics.feature_classifier import Classifier, Features
from wavelight.metrics.feature_network import check_network_name
from wavelight.support.devices import find_device
from wavelight.support.errors import check_least


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
    same file. They are no FID, and compare with no published number. From shards, only the part that
    `prepare` did not hold out is trained on, so that held-out images can be measured without bias.
    On a CPU the same seed gives the same file.

    Args:
        out: The file to write, ending in .pt2.
        source: Labelled images: any source class that has labels, such as ``Shards``,
            ``ImageFolder`` or ``CIFAR10``, with its options, like ``--source.path``; in a folder of
            folders, or a zip of them, a folder is a class.
        image_size: Height and width in pixels of the images to measure with it, at least 8.
        held_out: How many images are set aside to measure the accuracy. Data modules that hold as many
            out of the same source set the same ones aside.
        epochs: How often each image is trained on.
        width: Channels of the first layer; there are 16 times as many features.
        flip: Whether half of the images are mirrored in training; false for images whose sides matter, as
            digits'.
        seed: The seed of the initial weights, and of the order, shifts and flips of images.
        device: The device: cpu, cuda, cuda:1, mps; by default a GPU if there is one.

    Returns:
        A sentence on the network that was made.

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
            f"source must have at least 2 classes of images, got {classes}: put each class in a folder "
            "of its own"
        )
    training, aside = (read_labelled(part, image_size) for part in source.split(held_out) if part)
    images, labels = training
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features = Features(images.shape[1], width)
        classifier = Classifier(features, classes).to(target)
    train_classifier(classifier, images, labels, epochs, flip, seed)
    right = accuracy(classifier.eval(), *aside)
    features.cpu().equalise(images)
    write_feature_network(features, out, image_size, images.shape[1])
    return (
        f"{out} maps images to {sum(features.sizes)} features; trained on {len(images):,} images of {classes} classes, "
        f"its accuracy is {right:.1%} on {held_out:,} held-out ones"
    )
