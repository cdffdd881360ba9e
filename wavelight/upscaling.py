"""A user's own image as the coarse band of a pyramid, whose details double it: ``python -m wavelight upscale``."""

import copy
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_modules import ImageFolder
from data_modules.pictures import decode, to_tensor
from wavelight.devices import find_device
from wavelight.drawing import digest
from wavelight.factorizations import LevelByLevel, ScaledBand, Shape
from wavelight.metrics.base import to_uint8
from wavelight.models import GenerativeModel, ScoreModel
from wavelight.noise import Noise
from wavelight.pictures import PNG_CHANNELS, write_png
from wavelight.systems import ImageGenerator
from wavelight.systems.base import sampling_noise
from wavelight.wavelets import filter_length

NOTE = "wavelight upscale"
"""The PNG text that tells how an image was made."""

_META = torch.device("meta")
_TRIAL_STEPS = 2


class Tiles(NamedTuple):
    """Cuts what networks see, so that memory is bounded: a network runs on a tile at a time.

    Noise is drawn for the whole image and cut with it, and the outputs of neighbours are blended at
    every evaluation. Where tiles overlap, each one's outer quarter of the overlap counts nothing, and
    its weight rises linearly over the middle half. A network that reads no further than a quarter of the
    overlap therefore returns what it returns for the whole image, to rounding; what a network gathers
    from all pixels (attention, group normalization) it gathers from the tile instead.
    """

    side: int
    """In pixels of what a network is given: the coarse band of its level, which a Laplacian pyramid enlarges first."""

    overlap: int
    """Pixels that neighbours share, less than the side."""

    def evaluate(self, network: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Call a network on each tile, and blend what it returns.

        Args:
            network: Called with as many inputs; returns ``(N, C, H, W)``.
            inputs: Those ``(N, ..., H, W)`` of four dimensions are cut; others, such as times, are not.

        Returns:
            ``(N, C, H, W)``.
        """
        height, width = next(each.shape[2:] for each in inputs if each.ndim == 4)
        if max(height, width) <= self.side:
            return network(*inputs)
        total = weights = torch.zeros(())
        for top in self._starts(height):
            for left in self._starts(width):
                window = (..., slice(top, top + self.side), slice(left, left + self.side))
                out = network(*(each[window] if each.ndim == 4 else each for each in inputs))
                if total.ndim == 0:
                    total = out.new_zeros(*out.shape[:2], height, width)
                    weights = out.new_zeros(height, width)
                weight = torch.outer(self._weight(top, height), self._weight(left, width)).to(out)
                total[window] += weight * out
                weights[window] += weight
        return total / weights

    def _starts(self, length: int) -> list[int]:
        last = max(length - self.side, 0)
        return [*range(0, last, self.side - self.overlap), last]

    def _weight(self, start: int, length: int) -> Tensor:
        """Return the weight of each pixel of a tile along one side; borders of the image are no seams."""
        size = min(self.side, length)
        weight = torch.ones(size)
        if self.overlap:
            silent = self.overlap // 4
            places = torch.arange(self.overlap) + 0.5
            rise = ((places - silent) / (self.overlap - 2 * silent)).clamp(0, 1)
            if start > 0:
                weight[: self.overlap] *= rise
            if start + size < length:
                weight[-self.overlap :] *= rise.flip(0)
        return weight


class Upscaler:
    """Doubles images by the details that a trained pyramid draws given them.

    An image becomes the coarse band of level ``doublings``: 2 ** doublings times its pixels, which is
    what the orthonormal Haar transform makes of means over blocks, so that with Haar means over blocks
    of the result are the image again (before it is clamped). Other wavelets have the same gain for
    what varies slowly, and their coarse bands differ from means of blocks elsewhere. A Laplacian
    pyramid's coarse band is that of Haar, but what its models draw may change the means.

    An image may have any sides. Those that a network cannot halve often enough are continued, by
    repeating the last row and column, and the result is cut.

    Args:
        system: A system of a pyramid, which draws pictures; it is put into evaluation mode.
        seed: The seed of all noise.
        doublings: How often the side is doubled; none takes as often as the pyramid has levels. With
            fewer than these, the details of the finest levels are used.
        tiles: How networks are run on parts of an image; none runs them on the whole.

    Raises:
        ValueError: If the system has no pyramid, or not as many levels, draws no pictures, or if its
            networks cannot be run on such tiles.
    """

    def __init__(
        self,
        system: ImageGenerator,
        seed: int = 0,
        doublings: int | None = None,
        tiles: Tiles | None = None,
    ) -> None:
        if not isinstance(system.factorization, LevelByLevel):
            raise ValueError(
                f"only a pyramid (WSGM, Hybrid) can upscale images; {type(system).__name__} draws no details given "
                "a coarse band"
            )
        if not system.bounded:
            raise ValueError("the system draws fields without bounds; upscaling is for pictures")
        pyramid = system.factorization
        self.doublings = pyramid.levels if doublings is None else doublings
        if not 1 <= self.doublings <= pyramid.levels:
            raise ValueError(
                f"the pyramid has {pyramid.levels} level{'s'[: pyramid.levels > 1]} and can double an image as often, "
                f"at least once, not {self.doublings} times"
            )
        self.system = system.eval()
        self.pyramid = pyramid
        self.seed = seed
        self.tiles = tiles
        self._check_tiles()

    @torch.no_grad()
    def __call__(self, images: Tensor, index: Tensor) -> Tensor:
        """Double images.

        Args:
            images: ``(N, C, H, W)`` in [-1, 1].
            index: ``(N,)`` int64: the number of each image, to which its noise belongs.

        Returns:
            ``(N, C, 2 ** doublings * H, 2 ** doublings * W)`` in [-1, 1], float32.

        Raises:
            ValueError: If the images do not have the system's channels, or a side that is too small.
        """
        height, width = self._check(images)
        images, index = images.to(self.system.device), index.to(self.system.device)
        band = self._continued(images) * 2.0**self.doublings
        for level in range(self.doublings, 0, -1):
            band = self._refine(band, level, index)
        return band[..., : height << self.doublings, : width << self.doublings].clamp(-1, 1)

    def _refine(self, band: Tensor, level: int, index: Tensor) -> Tensor:
        """Turn the coarse band of a level, as the transform gives it, into that of the level below."""
        coarse, details = self.pyramid.coarse[level - 1], self.pyramid.details[level - 1]
        assert isinstance(coarse, ScaledBand)
        assert isinstance(details, ScaledBand)
        factor, model = self._factor(level), self._model(level)
        given = self.pyramid.given(band)
        noise = sampling_noise(self.seed, index, factor)
        with _tiled(model, self.tiles):
            drawn = model.sample((details.channels, *given.shape[2:]), coarse(given), noise)
        return self.pyramid.merge(given, details.inverse(drawn.float()))

    def _factor(self, level: int) -> int:
        return self.pyramid.levels - level + 1

    def _model(self, level: int) -> GenerativeModel:
        return self.system.factor_models()[self._factor(level)]

    # --- what sides networks take ---

    @cached_property
    def _multiples(self) -> dict[int, int | None]:
        """Return for each level what divides the sides of what its model is given, see :func:`multiple`."""
        return {
            level: multiple(
                self._model(level),
                self.system.target_shapes[self._factor(level)],
                self.system.channels,
            )
            for level in range(self.doublings, 0, -1)
        }

    def _given_a_pixel(self, level: int) -> int:
        """Return the side of what a level's model is given, over that of the image that is doubled."""
        side = self.system.target_shapes[self._factor(level)][1]
        # A Laplacian pyramid enlarges coarse images before its models see them.
        enlarged = side // (self.system.image_size >> level)
        return enlarged << (self.doublings - level)

    def _check_tiles(self) -> None:
        if self.tiles is None:
            return
        side, overlap = self.tiles
        if not 0 <= overlap < side:
            raise ValueError(
                f"tiles of side {side} cannot overlap by {overlap} pixels: the overlap is from 0 to less than the side"
            )
        for level, divisor in self._multiples.items():
            if divisor is None:
                raise ValueError(
                    f"the model of level {level} is made for images of one side only, and so takes no tiles"
                )
            if side % divisor or overlap % divisor:
                raise ValueError(
                    f"tiles of side {side} that overlap by {overlap} pixels do not suit the model of level {level}: "
                    f"both must be multiples of {divisor}"
                )

    def _check(self, images: Tensor) -> tuple[int, int]:
        channels, height, width = images.shape[1:]
        if channels != self.system.channels:
            raise ValueError(
                f"the images have {channels} channels, but the system draws {self.system.channels}"
            )
        for level, divisor in self._multiples.items():
            side = self.system.image_size >> self.doublings
            if divisor is None and (height, width) != (side, side):
                raise ValueError(
                    f"an image of {width}x{height} cannot be doubled {self.doublings} times: the model of level "
                    f"{level} takes no other than {side}x{side}"
                )
        taps = filter_length(self.pyramid.wavelet)
        if 2 * min(height, width) < taps:
            raise ValueError(
                f"an image of {width}x{height} is too small for wavelet {self.pyramid.wavelet!r}, which needs sides of "
                f"{-(-taps // 2)}"
            )
        return height, width

    def _continued(self, images: Tensor) -> Tensor:
        if None in self._multiples.values():
            return images
        # All are powers of 2, of which doubling brings some.
        divisor = max(
            max(1, (each or 1) // self._given_a_pixel(level))
            for level, each in self._multiples.items()
        )
        height, width = images.shape[2:]
        return functional.pad(images, (0, -width % divisor, 0, -height % divisor), "replicate")


def multiple(model: GenerativeModel, target: Shape, condition_channels: int) -> int | None:
    """Find what must divide the sides of targets that a model can draw, by trial without values.

    Args:
        model: A model of details, which are drawn given a condition of the same sides.
        target: Channels, height and width of the details that it is made for, of equal sides.
        condition_channels: Channels of the condition.

    Returns:
        The smallest power of 2, up to the side, of which odd multiples are taken; none where the model
        draws targets of its own side only.
    """
    without_values: dict[int, Any] = {
        id(parameter): nn.Parameter(parameter.detach().to(_META))
        for parameter in model.parameters()
    }
    trial = copy.deepcopy(model, without_values).to(_META).eval()
    if isinstance(trial, ScoreModel):
        # A chain of a thousand steps would tell no more.
        trial.take_steps(_TRIAL_STEPS)
    channels, side, _ = target
    for divisor in (2**power for power in range(side.bit_length())):
        # Odd multiples, so that no larger power divides them; and not the one side it is made for.
        odd = max(side // divisor, 2) | 1
        if _takes(trial, (channels, odd * divisor, (odd + 2) * divisor), condition_channels):
            return divisor
    return None


def _takes(model: GenerativeModel, target: Shape, condition_channels: int) -> bool:
    condition = torch.empty(1, condition_channels, *target[1:], device=_META)
    noise = Noise(0, torch.zeros(1, dtype=torch.int64, device=_META))
    try:
        with torch.no_grad():
            return model.sample(target, condition, noise).shape == (1, *target)
    # What layers raise where sizes do not fit depends on the layer.
    except (RuntimeError, ValueError):
        return False


@contextmanager
def _tiled(model: GenerativeModel, tiles: Tiles | None) -> Iterator[None]:
    """Run the networks that draw in tiles for a while."""
    with ExitStack() as stack:
        for player in model.players().values():
            if player.samples and tiles is not None:
                stack.enter_context(_forward_in_tiles(player.network, tiles))
        yield


@contextmanager
def _forward_in_tiles(network: nn.Module, tiles: Tiles) -> Iterator[None]:
    whole = network.forward
    network.forward = lambda *inputs: tiles.evaluate(whole, *inputs)
    try:
        yield
    finally:
        # It hid the method of the class.
        del network.forward


# --- the command ---


def upscale(
    checkpoint: Path,
    image: Path,
    out: Path,
    doublings: int | None = None,
    seed: int = 0,
    tile: int | None = None,
    overlap: int | None = None,
    raw: bool = False,
    device: str | None = None,
) -> None:
    """Double the sides of an image, or of all images of a folder, by the details that a WSGM or Hybrid draws.

    The same image, checkpoint, seed and options give the same result, whatever the name of the image and
    whatever lies beside it. Images that an interrupted run has finished are not drawn again; other
    files are never overwritten.

    Args:
        checkpoint: A checkpoint of a run of WSGM or Hybrid, or a file that was exported.
        image: A picture of any kind, size and shape; it is turned to 8-bit RGB (to grey for a system of
            one channel), and what is transparent is laid over white. Or a folder of pictures, with all
            folders below it.
        out: The PNG file to write, or for a folder the folder, where the files have the same names,
            ending in .png.
        doublings: How often the sides are doubled; none takes as often as the pyramid has levels. With
            1, the details of the finest level alone are drawn.
        seed: The seed of the details.
        tile: Side of the tiles that networks are run on when memory is short, in pixels of what is
            doubled; none runs them on the whole image. Attention and group normalization then see a
            tile at a time.
        overlap: Pixels that neighbouring tiles share; none takes a quarter of the tile.
        raw: Whether the weights that were learning are used, in place of their average.
        device: Where to draw: cpu, cuda, cuda:1, mps; none takes a GPU if there is one.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If there is no such image, the checkpoint cannot upscale as asked, or a file to
            write exists that was made otherwise.
    """
    from rich.progress import track

    from wavelight.checkpoints import load

    jobs = _jobs(Path(image), Path(out))
    upscaler = Upscaler(load(checkpoint, averaged=not raw), seed, doublings, _tiles(tile, overlap))
    channels = upscaler.system.channels
    if channels not in PNG_CHANNELS:
        raise ValueError(
            f"the system draws images of {channels} channels, which no picture file has"
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
                f"{target} exists, and was not made from {source} by these weights, seed and options; remove it, or "
                "name another"
            )
        sys.stderr.write(f"{target} is there already\n")
        return
    # The image's number is its content, so that its noise depends on no name and no neighbour.
    number = int.from_bytes(fingerprint.digest()[:7])
    images = pixels[None].float().div(127.5).sub(1)
    drawn = upscaler(images, torch.tensor([number]))
    write_png(target, to_uint8(drawn[0]).cpu(), {NOTE: note})


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
            raise ValueError("an overlap is for tiles: give their side, tile, too")
        return None
    if side < 1:
        raise ValueError(f"a tile has a side of at least 1 pixel, not {side}")
    return Tiles(side, side // 4 if overlap is None else overlap)


def _jobs(image: Path, out: Path) -> dict[Path, Path]:
    """Return the files to read, and for each the one to write."""
    if not image.is_dir():
        if not image.exists():
            raise ValueError(f"there is no {image}; check the path of the image")
        if out.suffix.lower() != ".png":
            raise ValueError(f"the file to write ends in .png, which {out} does not")
        return {image: out}
    if out.exists() and not out.is_dir():
        raise ValueError(f"{image} is a folder, so {out} must be one, and it is a file")
    if out.resolve().is_relative_to(image.resolve()):
        raise ValueError(
            f"{out} lies in {image}, whose images the next run would take for input; name another folder"
        )
    source = ImageFolder(image)
    files = [Path(source.name(number)) for number in range(len(source))]
    jobs = {file: out / file.relative_to(image).with_suffix(".png") for file in files}
    first: dict[Path, Path] = {}
    for file, target in jobs.items():
        if first.setdefault(target, file) != file:
            raise ValueError(
                f"{first[target]} and {file} would both be written to {target}; rename one"
            )
    return jobs
