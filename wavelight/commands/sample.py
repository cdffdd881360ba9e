"""``wavelight sample``: images from a checkpoint into a folder."""

from pathlib import Path

import torch

from wavelight.checkpoints.digest import digest
from wavelight.sampling.image_folder import image_folder
from wavelight.support.devices import find_device


def sample(
    checkpoint: Path,
    out: Path = Path("generated"),
    images: int = 64,
    seed: int = 0,
    ema: bool = True,
    batch_size: int = 64,
    device: str | None = None,
    npz: bool = False,
    with_grid: bool = False,
    compiled: bool = False,
    trust_code: bool = False,
) -> None:
    """Sample images from a checkpoint into a folder, on one device; no configuration and no data are needed.

    A PNG file an image; of fields without bounds, an NPY file of float32 ``(C, H, W)``. For several devices or
    machines there is `wavelight predict`, which writes the same files.

    Args:
        checkpoint: A checkpoint of a run, or an exported generator (.safetensors).
        out: The folder to write into. Batches that an interrupted call has finished are not generated again.
        images: How many images.
        seed: The seed of the set of images; image i of a seed is the same however many are generated.
        ema: Whether to use the EMA weights; false takes the trained weights themselves.
        batch_size: How many images are generated at once.
        device: The device: cpu, cuda, cuda:1, mps; by default a GPU if there is one.
        npz: Whether one file ``images.npz`` is left in the folder, in place of a file an image:
            ``arr_0``, ``(N, H, W, C)`` uint8, or of fields ``(N, C, H, W)`` float32.
        with_grid: Whether the first 64 images, side by side, are left in the folder as
            ``grid.png``, too; fields in false colours, blue below 0 and red above.
        compiled: Whether the networks are compiled first, which takes a minute and pays for
            thousands of images.
        trust_code: Whether the checkpoint may name any class, and so run code of its own.
    """
    from rich.progress import track

    from wavelight.checkpoints.loading import load

    system = load(checkpoint, ema, trust_code)
    folder = image_folder(system, out, images, seed)
    batches = folder.missing_batches(batch_size)
    system.to(find_device(device))
    folder.claim(digest(system))
    if compiled:
        system.compile_for_sampling()
    if batches:
        for batch in track(batches, f"Sampling into {out}"):
            numbers = torch.tensor(batch)
            # A batch of another size would compile anew; images do not depend on their neighbours.
            missing = batch_size - len(batch) if compiled else 0
            generated = system.generate(torch.cat([numbers, numbers[-1:].expand(missing)]), seed)
            folder.write(list(batch), generated[: len(batch)])
    if with_grid:
        folder.write_grid()
    if npz:
        folder.pack()
