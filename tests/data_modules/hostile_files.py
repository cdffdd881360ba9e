"""Files that somebody's disk, network or malice may hand to a source of images, by a name for each."""

import gzip
import io
import json
import os
import shutil
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from data_modules import ImageFolder, ImageZip, Lmdb, Sample, Shards, ShardStream, Source
from data_modules.prepare import prepare
from tests.pictures import encoded, picture
from tests.sources import write_lmdb

Maker = Callable[[Path], object]

GOOD = [encoded(picture(number)) for number in range(6)]
ZEROS = bytes(6_000_000)


class Bands(Source):
    """A source of one's own: NPY files of five bands."""

    channels = 5
    description = "bands"

    def __init__(self, path):
        self.path = Path(path)

    def __len__(self):
        return len(list(self.path.glob("*.npy")))

    def read(self, index, size):
        bands = np.load(sorted(self.path.glob("*.npy"))[index])
        return Sample(torch.from_numpy(bands))

    def name(self, index):
        return str(sorted(self.path.glob("*.npy"))[index])


def bands(folder, change=lambda array: array):
    for number in range(4):
        np.save(folder / f"{number}.npy", np.zeros((5, 8, 8), dtype=np.float32))
    np.save(folder / "2.npy", change(np.zeros((5, 8, 8), dtype=np.float32)))
    return Bands(folder)


def no_number(array):
    array[3, 2, 1] = np.nan
    return array


def cut_bands(folder):
    source = bands(folder)
    os.truncate(folder / "2.npy", 200)
    return source


# Databases


def database(folder, change: Callable[[bytearray], object] = lambda content: content):
    write_lmdb(folder / "l", [*GOOD, encoded(picture(7, 64))])
    path = folder / "l" / "data.mdb"
    content = bytearray(path.read_bytes())
    changed = change(content)
    path.write_bytes(content if changed is None else changed)
    return Lmdb(folder / "l")


def break_pages(content):
    """Say of each page of keys that it is of another kind."""
    for start in range(2 * 4096, len(content), 4096):
        if struct.unpack_from("<H", content, start + 10)[0] in (1, 2):
            content[start + 10] = 0x44


def enlarge_value(content):
    """Say of the value that has pages of its own that it has 2 GB."""
    for start in range(2 * 4096, len(content), 4096):
        flags, end = struct.unpack_from("<HH", content, start + 10)
        places = (
            struct.unpack_from(f"<{(end - 16) // 2}H", content, start + 16) if flags == 2 else ()
        )
        for place in places:
            if struct.unpack_from("<H", content, start + place + 4)[0] == 1:
                struct.pack_into("<HH", content, start + place, 0xFFFF, 0x7FFF)


def database_pipe(folder):
    os.mkfifo(folder / "data.mdb")
    return Lmdb(folder)


# Prepared shards


def prepared(folder):
    for number, data in enumerate(GOOD):
        (folder / f"{number}.png").write_bytes(data)
    prepare(folder, folder / "shards", 8, shard_images=3, workers=0)
    return folder / "shards"


def index(folder, change: Callable[[str], str]):
    shards = prepared(folder)
    (shards / "index.json").write_text(change((shards / "index.json").read_text()))
    return Shards(shards)


def entry(**changes):
    """Change the first shard in the index."""

    def change(text):
        content = json.loads(text)
        content["shards"][0] |= changes
        return json.dumps(content)

    return change


def without(name):
    return lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != name})


def table(folder, change):
    shards = prepared(folder)
    path = shards / "train-000000.npy"
    change(path)
    return Shards(shards)


def table_of(rows):
    return lambda path: np.save(path, np.array(rows))


def index_pipe(folder):
    shards = prepared(folder)
    (shards / "index.json").unlink()
    os.mkfifo(shards / "index.json")
    return Shards(shards)


# Tars


def tar_of(*files, **options):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def plain_tar():
    return tar_of(*((f"{number:03d}.png", data) for number, data in enumerate(GOOD)))


def named_tar(*endings, label=None):
    """Six samples, each of which has a picture under each of some endings."""
    files = []
    for number, data in enumerate(GOOD):
        files += [(f"{number:03d}.{ending}", data) for ending in endings]
        files += [(f"{number:03d}.cls", label)] if label is not None else []
    return tar_of(*files)


def shard(content: Callable[[], bytes], name="a.tar", **options) -> Maker:
    def make(folder):
        (folder / name).write_bytes(content())
        return ShardStream(str(folder / name), **{"mixed": 4} | options)

    return make


def flipped_header():
    content = bytearray(plain_tar())
    content[content.index(b"ustar", 1024) + 20] ^= 1
    return bytes(content)


def sized(size):
    """A tar whose first header speaks of so many bytes."""

    def make():
        content = bytearray(plain_tar())
        info = tarfile.TarInfo("000.png")
        info.size = size
        content[:512] = info.tobuf(tarfile.GNU_FORMAT)
        return bytes(content)

    return make


def long_header():
    """A compressed header of 6 MB, which tarfile would read as a whole."""
    info = tarfile.TarInfo("./PaxHeaders/x")
    info.type = tarfile.XHDTYPE
    info.size = len(ZEROS)
    return gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + ZEROS, 1)


def odd_members():
    buffer = io.BytesIO()
    kinds = (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE)
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number, kind in enumerate(kinds):
            info = tarfile.TarInfo(f"../../odd{number}.png")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        for number, data in enumerate(GOOD):
            info = tarfile.TarInfo(f"/été\n{number}.png")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def shard_pipe(folder):
    os.mkfifo(folder / "a.tar")
    return ShardStream(str(folder / "a.tar"))


def shard_folder(folder):
    (folder / "a.tar").mkdir()
    return ShardStream(str(folder / "a.tar"))


# Zips


def zipped(
    change: Callable[[bytes], bytes] = lambda content: content, method=zipfile.ZIP_DEFLATED
) -> Maker:
    def make(folder):
        with zipfile.ZipFile(folder / "a.zip", "w", method) as archive:
            for number, data in enumerate(GOOD):
                archive.writestr(f"{number}.png", data)
            archive.writestr("folder.png/", b"")
        (folder / "a.zip").write_bytes(change((folder / "a.zip").read_bytes()))
        return ImageZip(folder / "a.zip")

    return make


def patched(flag=0, method=None):
    """Change the flags and the compression that the headers of a zip speak of."""

    def change(content):
        data = bytearray(content)
        for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = data.find(magic)
            while place >= 0:
                data[place + at] |= flag
                if method is not None:
                    struct.pack_into("<H", data, place + at + 2, method)
                place = data.find(magic, place + 4)
        return bytes(data)

    return change


def zip_bomb(said: int | None) -> Maker:
    """A picture of 6 MB of zeros, and of how many bytes the zip speaks."""

    def make(folder):
        with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("0.png", ZEROS)
        if said is not None:
            data = bytearray((folder / "a.zip").read_bytes())
            struct.pack_into("<I", data, 22, said)
            struct.pack_into("<I", data, data.find(b"PK\x01\x02") + 24, said)
            (folder / "a.zip").write_bytes(data)
        return ImageZip(folder / "a.zip")

    return make


def zip_pipe(folder):
    os.mkfifo(folder / "a.zip")
    return ImageZip(folder / "a.zip")


# Folders


def pictures(*extra: Callable[[Path], object]) -> Maker:
    def make(folder):
        for number, data in enumerate(GOOD):
            (folder / f"{number}.png").write_bytes(data)
        for each in extra:
            each(folder)
        return ImageFolder(folder)

    return make


def link(name, target):
    return lambda folder: os.symlink(target, folder / name)


def file(name, content: bytes | Callable[[], bytes]):
    def write(folder):
        data = content if isinstance(content, bytes) else content()
        Path(os.fsdecode(os.fsencode(folder) + b"/" + os.fsencode(name))).write_bytes(data)

    return write


def pipe(folder):
    os.mkfifo(folder / "x.png")


def unix_socket(folder):
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(folder / "x.png"))


def links_in_a_circle(folder):
    for name, other in (("a", "b"), ("b", "a")):
        (folder / name).mkdir()
        (folder / name / "more").symlink_to(folder / other)


def ladder(folder):
    """Twelve folders, each with three links to the next one: 3^12 ways to the last."""
    for step in range(12):
        (folder / f"step{step}").mkdir()
        for number in range(3):
            (folder / f"step{step}" / f"to{number}").symlink_to(folder / f"step{step + 1}")


def sparse(folder):
    with (folder / "x.png").open("wb") as opened:
        opened.write(GOOD[0])
        opened.truncate(2**40)


def locked_file(folder):
    (folder / "0.png").chmod(0)


def locked_folder(folder):
    (folder / "more").mkdir()
    shutil.copy(folder / "0.png", folder / "more" / "0.png")
    (folder / "more").chmod(0)


def png(width, height, depth=8, kind=2, rows=b""):
    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


def rgb16():
    return png(8, 8, 16, 2, b"".join(b"\0" + bytes(range(48)) for _ in range(8)))


def animation():
    frames = [picture(number) for number in range(5)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def converted(mode, kind):
    return lambda: encoded(picture(0).convert(mode), kind)


def grey16():
    return encoded(Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)))


def half(kind):
    def make():
        data = encoded(picture(0, 64), kind)
        return data[: len(data) // 2]

    return make


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
