"""``wavelight upscaling_quality``: upscaled images of known data beside bicubic ones."""

import sys
from pathlib import Path

from data_modules.source import Source
from wavelight.checkpoints.loading import load
from wavelight.evaluation.upscaling import (
    LEGEND,
    cells,
    data_of_checkpoint,
    enlarged,
    measure_upscaling,
    smaller,
    true_images,
    ways_to_enlarge,
)
from wavelight.sampling.upscaler import Upscaler
from wavelight.support.devices import find_device
from wavelight.support.tables import markdown_table


def upscaling_quality(
    checkpoint: Path,
    images: int = 1024,
    seed: int = 0,
    batch_size: int = 64,
    packet_side: int = 16,
    source: Source | None = None,
    image_size: int | None = None,
    ema: bool = True,
    device: str | None = None,
    trust_code: bool = False,
) -> str:
    """Measure how close the upscaled LL bands of known images come to the images.

    Images of the data that the checkpoint was trained on, held-out ones where there are some, are made
    smaller by the pyramid's own wavelet (for Haar, the mean of each block), and enlarged again: by the
    pyramid, by bicubic interpolation, and by the pyramid's synthesis with details of zero. Prints a
    table, for one doubling, two, and so on to the pyramid's number of levels.

    Args:
        checkpoint: A checkpoint of a WSGM or Hybrid, or an exported one (.safetensors).
        images: How many images are measured, or all if there are fewer.
        seed: The seed of the details.
        batch_size: How many images are generated at once.
        packet_side: Side in pixels of the packets of the Fréchet wavelet distance: images of packet_side * 2^L
            pixels are split L times. As every Fréchet distance it falls with the number of images.
        source: Other images than those of the checkpoint's data: any source class, such as ``ImageZip``, with
            its options, like ``--source.path``; all of them count, not the held-out ones alone.
        image_size: Height and width in pixels; by default those of the training.
        ema: Whether to use the EMA weights; false takes the trained weights themselves.
        device: The device: cpu, cuda, cuda:1, mps; by default a GPU if there is one.
        trust_code: Whether the checkpoint may name any class, and so run code of its own.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If a value makes no sense, the checkpoint does not tell its data, or its system
            cannot upscale.
    """
    if min(images, batch_size) < 2:
        raise ValueError(f"images and batch_size must be at least 2, got {images} and {batch_size}")
    system = load(checkpoint, ema, trust_code)
    finest = Upscaler(system, seed, doublings=1)
    side = system.image_size if image_size is None else image_size
    # It refuses a side that cannot be halved.
    finest.pyramid.target_shapes((system.channels, side, side))
    data = data_of_checkpoint(Path(checkpoint), source, side, batch_size, trust_code)
    kind, true = true_images(data, images)
    system.to(find_device(device))
    rows = []
    for doublings in range(1, finest.pyramid.levels + 1):
        small = smaller(true, finest.pyramid, doublings)
        for name, enlarge in ways_to_enlarge(Upscaler(system, seed, doublings)).items():
            large = enlarged(small, enlarge, batch_size)
            quality = measure_upscaling(large, true, batch_size, packet_side)
            row = cells(f"{small.shape[-1]} to {side}", name, quality)
            sys.stderr.write("  ".join(row.values()) + "\n")
            rows.append(row)
    caption = (
        f"{len(true):,} {kind}, made smaller by {finest.pyramid.bands} (its LL, not rounded to bytes) and "
        f"enlarged again; seed {seed}, packets of {packet_side}."
    )
    return "\n".join([caption, *LEGEND, "", *markdown_table(rows)])
