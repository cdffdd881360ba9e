"""``wavelight upscale``: your own images with doubled sides."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_modules import ImageFolder
from data_modules.pictures import decode, to_tensor
from wavelight.checkpoints.digest import digest
from wavelight.sampling.tiles import Tiles
from wavelight.sampling.upscaler import Upscaler
from wavelight.support.devices import find_device
from wavelight.support.pictures import PNG_CHANNELS, to_uint8, write_png

NOTE = "wavelight upscale"
"""The key of the PNG text that records how an image was made."""


# --- the command ---


def upscale(
    checkpoint: Path,
    image: Path,
    out: Path,
    doublings: int | None = None,
    seed: int = 0,
    tile: int | None = None,
    overlap: int | None = None,
    ema: bool = True,
    device: str | None = None,
    trust_code: bool = False,
) -> None:
    """Double the sides of an image, or of all images of a folder, with details sampled by a WSGM or Hybrid.

    The same image, checkpoint, seed and options give the same result, whatever the name of the image and
    whatever lies beside it. Images that an interrupted run has finished are not generated again; other
    files are never overwritten.

    Args:
        checkpoint: A checkpoint of a WSGM or Hybrid, or an exported one (.safetensors).
        image: A picture of any kind, size and shape, or a folder of pictures, subfolders included. Pictures
            are converted to 8-bit RGB (grey for a system of one channel), transparency to white.
        out: The PNG file to write, or for a folder of pictures the folder to write into; its files have
            the same names, ending in .png.
        doublings: How often the sides are doubled; by default as often as the pyramid has levels. With
            1, the details of the finest level alone are generated.
        seed: The seed of the details.
        tile: Side of the tiles that networks are run on when memory is short, in pixels before
            doubling; by default they run on the whole image. Attention and group normalization then
            see a tile at a time.
        overlap: Pixels that neighbouring tiles share; by default a quarter of the tile.
        ema: Whether to use the EMA weights; false takes the trained weights themselves.
        device: The device: cpu, cuda, cuda:1, mps; by default a GPU if there is one.
        trust_code: Whether the checkpoint may name any class, and so run code of its own.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If there is no such image, the checkpoint cannot upscale as asked, or a file to
            write exists that was made otherwise.
    """
    from rich.progress import track

    from wavelight.checkpoints.loading import load

    jobs = _jobs(Path(image), Path(out))
    upscaler = Upscaler(load(checkpoint, ema, trust_code), seed, doublings, _tiles(tile, overlap))
    channels = upscaler.system.channels
    if channels not in PNG_CHANNELS:
        raise ValueError(
            f"the system samples images of {channels} channels, which no picture file holds: "
            f"use one of {' or '.join(map(str, PNG_CHANNELS))} channels"
        )
    upscaler.system.to(find_device(device))
    made = {
        "weights": digest(upscaler.system),
        "seed": seed,
        "doublings": upscaler.doublings,
        "tiles": upscaler.tiles,
    }
    one = len(jobs) == 1
    for source, target in track(jobs.items(), f"Upscaling into {out}", disable=one):
        _upscale_file(upscaler, source, target, made)


def read_image(path: Path, channels: int) -> Tensor:
    """Read a picture file of any kind.

    Args:
        path: The file.
        channels: 3, or 1 for grey.

    Returns:
        uint8 ``(channels, H, W)``.

    Raises:
        ValueError: If the picture is unreadable or truncated.
    """
    picture = decode(path, str(path))
    if channels == 1:
        return to_tensor(picture.convert("L").convert("RGB"))[:1]
    return to_tensor(picture)


def _upscale_file(upscaler: Upscaler, source: Path, target: Path, made: Mapping[str, Any]) -> None:
    pixels = read_image(source, upscaler.system.channels)
    fingerprint = hashlib.sha256(repr(tuple(pixels.shape)).encode() + pixels.numpy().tobytes())
    note = json.dumps({**made, "input": fingerprint.hexdigest()[:16]}, sort_keys=True)
    if target.exists():
        if _note(target) != note:
            raise ValueError(
                f"{target} exists, made from another image, weights, seed or options than {source} "
                "and these: remove it, or name another"
            )
        sys.stderr.write(f"{target} is there already\n")
        return
    # The image's number is its content, so that its noise depends on no name and no neighbour.
    number = int.from_bytes(fingerprint.digest()[:7])
    images = pixels[None].float().div(127.5).sub(1)
    generated = upscaler(images, torch.tensor([number]))
    write_png(target, to_uint8(generated[0]).cpu(), {NOTE: note})


def _note(path: Path) -> str | None:
    """Return what an image of this command says of how it was made; none of other files."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.info.get(NOTE)
    except UnidentifiedImageError:
        return None


def _tiles(side: int | None, overlap: int | None) -> Tiles | None:
    if side is None:
        if overlap is not None:
            raise ValueError(
                f"overlap must come with tile, got overlap {overlap} alone: give the side of the tiles, --tile"
            )
        return None
    if side < 1:
        raise ValueError(f"tile must be at least 1 pixel, got {side}")
    return Tiles(side, side // 4 if overlap is None else overlap)


def _jobs(image: Path, out: Path) -> dict[Path, Path]:
    """Return the files to read, and for each the one to write."""
    if not image.is_dir():
        if not image.exists():
            raise ValueError(f"there is no {image}: check the path of the image")
        if out.suffix.lower() != ".png":
            raise ValueError(f"the output file must end in .png, got {out}")
        return {image: out}
    if out.exists() and not out.is_dir():
        raise ValueError(f"out must be a folder because {image} is one, got the file {out}")
    if out.resolve().is_relative_to(image.resolve()):
        raise ValueError(
            f"out must not lie in {image} (the next run would upscale its own output), got "
            f"{out}: name another folder"
        )
    source = ImageFolder(image)
    files = [Path(source.name(number)) for number in range(len(source))]
    jobs = {file: out / file.relative_to(image).with_suffix(".png") for file in files}
    first: dict[Path, Path] = {}
    for file, target in jobs.items():
        if first.setdefault(target, file) != file:
            raise ValueError(
                f"{first[target]} and {file} would both be written to {target}: rename one"
            )
    return jobs
