"""Images of a source as one tensor."""

from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from data_modules import ShardStream, Source, WaveletDataModule

if TYPE_CHECKING:
    pass


_BATCH = 64


def read_images(source: Source | ShardStream, image_size: int, images: int) -> Tensor:
    """Read images of a source, ``(N, C, H, W)`` float32 in the source's range.

    Args:
        source: Where they come from.
        image_size: Height and width.
        images: How many at most.

    Raises:
        DataError: If the source cannot be used.
    """
    data = WaveletDataModule(source, image_size, _BATCH, num_workers=0, eval_batch_size=_BATCH)
    data.prepare_data()
    data.setup()
    # A stream has no random order of its own, and no known end.
    chosen = images if isinstance(source, Source) else None
    batches = (batch["image"] for batch in data.reference_dataloader(chosen))
    return torch.cat(list(islice(batches, -(-images // _BATCH))))[:images]
