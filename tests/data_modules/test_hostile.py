"""Each hostile file trains rightly, or ends in one sentence that names it: soon, and in little memory."""

import gzip
import os
import re
import resource
import signal
import tarfile
import time
import zipfile
from itertools import islice

import numpy as np
import pytest

from data_modules import DataError, ImageFolder, ShardStream, plain_files, tar_files
from tests.data_modules import hostile_files as hostile
from tests.data_modules.hostile_files import (
    bands,
    converted,
    database,
    entry,
    file,
    half,
    index,
    link,
    named_tar,
    patched,
    pictures,
    plain_tar,
    shard,
    sized,
    table,
    table_of,
    tar_of,
    without,
    zipped,
)
from tests.pictures import encoded, picture
from tests.sources import module

SECONDS = 20
MEMORY = 150_000_000
MOST_BYTES = 1_000_000
TRAINS = None

root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


class Hang(BaseException):
    """It takes too long; no error, so that nothing takes it for one of the file's."""


@pytest.fixture(autouse=True)
def small_bombs(monkeypatch):
    """Refuse megabytes as gigabytes are, which take long to make."""
    for module_of in (plain_files, tar_files):
        monkeypatch.setattr(module_of, "MOST_BYTES", MOST_BYTES)


def hung(*_):
    raise Hang


def outcome(source, **options):
    """Measure, and train on, a source."""
    signal.signal(signal.SIGALRM, hung)
    signal.alarm(SECONDS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        data = module(source, image_size=8, **options)
        data.setup()
        _ = data.fingerprint
        list(data.reference_dataloader())
        list(islice(data.train_dataloader(), 4))
        words = TRAINS
    except DataError as error:
        words = str(error)
    finally:
        signal.alarm(0)
    assert 1000 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < MEMORY
    return words


CASES = {
    # Databases.
    "lmdb": (database, TRAINS),
    "lmdb cut in half": (
        lambda folder: database(folder, lambda content: content[: len(content) // 2]),
        r"data.mdb is cut off or damaged: it must have [\d,]+ bytes or more, got [\d,]+; fetch it again",
    ),
    "lmdb cut behind its head": (
        lambda folder: database(folder, lambda content: content[:8192]),
        "data.mdb is cut off",
    ),
    "lmdb cut in its head": (
        lambda folder: database(folder, lambda content: content[:100]),
        "cannot be read as an LMDB",
    ),
    "lmdb, empty": (
        lambda folder: database(folder, lambda content: b""),
        "cannot be read as an LMDB",
    ),
    "lmdb, a text": (
        lambda folder: database(folder, lambda content: b"a text\n" * 5000),
        "MDB_INVALID",
    ),
    "lmdb, other pages": (
        lambda folder: database(folder, hostile.break_pages),
        "data.mdb is damaged",
    ),
    "lmdb, a value of 2 GB": (
        lambda folder: database(folder, hostile.enlarge_value),
        "data.mdb is cut off or damaged: it must have 2,147",
    ),
    "lmdb, a pipe": (hostile.database_pipe, "data.mdb must be a file, got a pipe"),
    "lmdb, a folder without": (hostile.Lmdb, "data.mdb cannot be read: No such file"),
    # Prepared shards.
    "index": (lambda folder: index(folder, str), TRAINS),
    "index cut": (lambda folder: index(folder, lambda text: text[:60]), r"index.json is damaged"),
    "index, empty": (lambda folder: index(folder, lambda text: ""), r"index.json is damaged"),
    "index, a list": (lambda folder: index(folder, lambda text: "[1]"), r"index.json is damaged"),
    "index, brackets": (
        lambda folder: index(folder, lambda text: "[" * 100_000),
        r"index.json is damaged",
    ),
    "index without shards": (
        lambda folder: index(folder, without("shards")),
        "index.json is damaged",
    ),
    "index without its size": (
        lambda folder: index(folder, without("image_size")),
        "index.json is damaged",
    ),
    "index, too much": (
        lambda folder: index(folder, entry(more=1)),
        "index.json is damaged",
    ),
    "index, a word": (lambda folder: index(folder, entry(images="3")), "index.json is damaged"),
    "index, less than nothing": (
        lambda folder: index(folder, entry(images=-3)),
        "index.json is damaged",
    ),
    "index, 10^30": (lambda folder: index(folder, entry(images=10**30)), "index.json is damaged"),
    "index, more images": (
        lambda folder: index(folder, entry(images=4)),
        "train-000000.npy is damaged .*4 rows",
    ),
    "index, elsewhere": (
        lambda folder: index(folder, entry(file="../../secret.tar")),
        "index.json is damaged",
    ),
    "index, a pipe": (hostile.index_pipe, "index.json must be a file, got a pipe"),
    "table cut": (
        lambda folder: table(folder, lambda path: os.truncate(path, 150)),
        "train-000000.npy is damaged",
    ),
    "table, empty": (
        lambda folder: table(folder, lambda path: os.truncate(path, 0)),
        "train-000000.npy is damaged",
    ),
    "table, a text": (
        lambda folder: table(folder, lambda path: path.write_text("a text")),
        "train-000000.npy is damaged",
    ),
    "table of floats": (
        lambda folder: table(folder, table_of([[0.5, 1, 2]] * 3)),
        "train-000000.npy is damaged .*3 rows of 3 whole numbers",
    ),
    "table, outside": (
        lambda folder: table(folder, table_of([[2**62, 2**62, 0]] * 3)),
        "train-000000.npy is damaged .*points outside of train-000000.tar",
    ),
    "table, before": (
        lambda folder: table(folder, table_of([[-5, 100, 0]] * 3)),
        "train-000000.npy is damaged .*points outside of train-000000.tar",
    ),
    # Tars.
    "tar": (shard(plain_tar), TRAINS),
    "tar.gz": (shard(lambda: gzip.compress(plain_tar()), "a.tar.gz"), TRAINS),
    "tar, empty": (shard(lambda: b""), "a.tar cannot be read to its end: empty file"),
    "tar, without files": (shard(tar_of), r"none of the last \d+ shards can be used.* a.tar|a.tar"),
    "tar, a text": (shard(lambda: b"a text\n" * 500), "a.tar cannot be read to its end"),
    "tar, a page of a portal": (shard(lambda: b"<html>" * 99), "a.tar cannot be read to its end"),
    "tar cut": (shard(lambda: plain_tar()[:700]), "a.tar cannot be read to its end: it is cut off"),
    "tar cut between files": (
        shard(lambda: plain_tar()[:3072]),
        "a.tar cannot be read to its end: it is cut off",
    ),
    "tar, a flipped bit": (
        shard(hostile.flipped_header),
        r"a.tar cannot be read to its end: it is damaged, or goes on behind its end, at byte 1,024",
    ),
    "tar behind a tar": (shard(lambda: 2 * plain_tar()), "goes on behind its end"),
    "tar, exabytes": (shard(sized(2**62)), "a.tar cannot be read to its end: 000.png must have"),
    "tar, 8 GB that are not there": (shard(sized(2**33 - 1)), "000.png must have at most"),
    "tar.gz cut": (
        shard(lambda: gzip.compress(plain_tar())[:500], "a.tar.gz"),
        "a.tar.gz cannot be read to its end",
    ),
    "tar.gz, a flipped bit": (
        shard(lambda: gzip.compress(plain_tar())[:-7] + b"\0" * 7, "a.tar.gz"),
        "a.tar.gz cannot be read to its end: CRC check failed",
    ),
    "tar.gz, a bomb": (
        shard(lambda: gzip.compress(tar_of(("0.png", hostile.ZEROS)), 1), "a.tar.gz"),
        "0.png must have at most 1,000,000 bytes, got 6,000,000",
    ),
    "tar.gz, a bomb that is no picture": (
        shard(lambda: gzip.compress(tar_of(("0.bin", hostile.ZEROS)), 1), "a.tar.gz"),
        "0.bin must have at most 1,000,000 bytes, got 6,000,000",
    ),
    "tar.gz, a bomb of a header": (
        shard(hostile.long_header, "a.tar.gz"),
        "it has more than 4,194,304 bytes of headers",
    ),
    "tar.gz, a bomb behind the end": (
        shard(lambda: gzip.compress(plain_tar() + hostile.ZEROS, 1), "a.tar.gz"),
        "it has more than 4,194,304 bytes of headers or padding",
    ),
    "tar, odd members": (shard(hostile.odd_members), TRAINS),
    "tar, a pipe": (hostile.shard_pipe, "the shard .*a.tar must be a file, got a pipe"),
    "tar, a folder": (hostile.shard_folder, "the shard .*a.tar must be a file, got a folder"),
    "tar, missing": (
        lambda folder: ShardStream(str(folder / "a.tar")),
        "the shard .*a.tar cannot be read: No such file",
    ),
    "tar, no images": (
        shard(lambda: tar_of(("0.txt", b"a"), ("1.txt", b"b"))),
        "0 in .*a.tar has no image: set image",
    ),
    "tar, no suffixes": (shard(lambda: tar_of(("0", b"a"), ("1", b"b"))), "a.tar holds no sample"),
    "tar, two dots": (shard(lambda: named_tar("image.png", label=b"1")), TRAINS),
    "tar, two images": (
        shard(lambda: named_tar("left.png", "right.png")),
        r"000 in .*a.tar has several images \(left.png, right.png \.\.\.\): set image to .* left.png, or to png",
    ),
    "tar, two images, one chosen": (
        shard(lambda: named_tar("left.png", "right.png"), image="right.png"),
        TRAINS,
    ),
    "tar, dots for keys": (
        shard(lambda: tar_of(*((f"v1.2/im.{n}.png", data) for n, data in enumerate(hostile.GOOD)))),
        "v1.2/im in .*a.tar has several images",
    ),
    "tar, dots for keys, chosen": (
        shard(
            lambda: tar_of(*((f"v1.2/im.{n}.png", data) for n, data in enumerate(hostile.GOOD))),
            image="png",
        ),
        TRAINS,
    ),
    "tar, another image chosen": (
        shard(lambda: named_tar("left.png"), image="right.png"),
        "a.tar holds no sample",
    ),
    "tar, classes": (shard(lambda: named_tar("png", label=b"3\n")), TRAINS),
    "tar, classes in words": (
        shard(lambda: named_tar("png", label=b"cat")),
        r"\(.cls\) of 000 in .*a.tar must be a whole number, got 'cat': set class_names",
    ),
    "tar, classes in words, named": (
        shard(lambda: named_tar("png", label=b"cat"), class_names=["dog", "cat"]),
        TRAINS,
    ),
    "tar, classes in words, left out": (
        shard(lambda: named_tar("png", label=b"cat"), class_names=[]),
        TRAINS,
    ),
    "tar, another class": (
        shard(lambda: named_tar("png", label=b"cow"), class_names=["dog", "cat"]),
        "must be one of the 2 class_names or its number, got 'cow'",
    ),
    "tar, half a class": (
        shard(lambda: named_tar("png", label=b"3.5")),
        "a whole number, got '3.5'",
    ),
    "tar, no class": (shard(lambda: named_tar("png", label=b"")), "a whole number, got ''"),
    "tar, a class of junk": (
        shard(lambda: named_tar("png", label=b"\xff\0" * 2000)),
        r"a whole number, got '\\\\xff",
    ),
    "tar, a class too large": (
        shard(lambda: named_tar("png", label=b"9" * 30)),
        "a whole number, got '9999",
    ),
    # Zips.
    "zip": (zipped(), TRAINS),
    "zip, lzma": (zipped(method=14), TRAINS),
    "zip cut": (
        zipped(lambda content: content[: len(content) // 2]),
        "a.zip is not a complete zip",
    ),
    "zip, empty": (zipped(lambda content: b""), "a.zip is not a complete zip"),
    "zip, a password": (zipped(patched(flag=1)), "a.zip is locked by a password"),
    "zip, deflate64": (zipped(patched(method=9)), "a.zip is compressed by method 9"),
    "zip, another compression": (zipped(patched(method=14)), "0.png in .*a.zip cannot be unpacked"),
    "zip, a bomb": (hostile.zip_bomb(None), "0.png in .*a.zip must have at most"),
    "zip, a bomb that lies": (
        hostile.zip_bomb(100),
        "0.png in .*a.zip cannot be unpacked: Bad CRC",
    ),
    "zip, a pipe": (hostile.zip_pipe, "a.zip must be a file, got a pipe"),
    # Folders.
    "folder": (pictures(), TRAINS),
    "a pipe": (pictures(hostile.pipe), "x.png must be a file, got a pipe"),
    "a socket": (pictures(hostile.unix_socket), "x.png must be a file, got a socket"),
    "a device": (pictures(link("x.png", "/dev/zero")), "x.png must be a file, got a device"),
    "a link to nothing": (pictures(link("x.png", "/none")), "x.png cannot be read: No such file"),
    "a link to itself": (pictures(link("x.png", "x.png")), "x.png cannot be read: Too many levels"),
    "a folder in itself": (pictures(link("all", ".")), TRAINS),
    "links in a circle": (pictures(hostile.links_in_a_circle), TRAINS),
    "links by half a million ways": (pictures(hostile.ladder), TRAINS),
    "a terabyte of nothing": (pictures(hostile.sparse), "x.png must have at most"),
    "a locked file": pytest.param(
        pictures(hostile.locked_file), "0.png cannot be read: Permission denied", marks=root
    ),
    "a locked folder": pytest.param(
        pictures(hostile.locked_folder), "folder .*more cannot be read .Permission", marks=root
    ),
    "a file": (lambda folder: ImageFolder(__file__), "test_hostile.py is not a folder"),
    "nothing in it": (ImageFolder, "holds no images"),
    # Pictures.
    "a picture of nothing": (pictures(file("x.png", b"")), "x.png cannot be read as an image"),
    "a text": (pictures(file("x.png", b"a text")), "x.png .*: it is in no known format"),
    "half a JPEG": (pictures(file("x.jpg", half("JPEG"))), "x.jpg cannot be read .* truncated"),
    "half a PNG": (pictures(file("x.png", half("PNG"))), "x.png cannot be read as an image"),
    "half a WebP": (pictures(file("x.webp", half("WEBP"))), "x.webp cannot be read as an image"),
    "a PNG that says it is gigantic": (
        pictures(file("x.png", lambda: hostile.png(2**31 - 1, 2**31 - 1))),
        "x.png cannot be read .*decompression bomb",
    ),
    "a PNG without pixels": (
        pictures(file("x.png", lambda: hostile.png(8, 8))),
        "x.png cannot be read as an image",
    ),
    "PostScript": (pictures(file("x.png", hostile.POSTSCRIPT)), "x.png .* in no known format"),
    "16 bits, grey": (pictures(file("x.png", hostile.grey16)), TRAINS),
    "16 bits, colours": (pictures(file("x.png", hostile.rgb16)), TRAINS),
    "CMYK": (pictures(file("x.jpg", converted("CMYK", "JPEG"))), TRAINS),
    "an animation": (pictures(file("x.gif", hostile.animation)), TRAINS),
    "one bit": (pictures(file("x.png", converted("1", "PNG"))), TRAINS),
    "LAB": (pictures(file("x.tif", converted("LAB", "TIFF"))), TRAINS),
    "floats": (pictures(file("x.tif", converted("F", "TIFF"))), "x.tif .*floating-point pixels"),
    "too small": (
        pictures(file("x.png", lambda: hostile.png(2, 2, rows=b"\0" * 14))),
        "x.png is 2x2, smaller than the 8x8",
    ),
    "a name of two lines": (pictures(file("a\nb.png", b"")), r"a\\nb.png cannot be read"),
    "a name that is no text": (
        pictures(file(b"\xff\xfe.png", b"")),
        r"\\xff\\xfe.png cannot be read",
    ),
    "a name in Chinese": (pictures(file("图 🌊 [1]%20.png", hostile.GOOD[0])), TRAINS),
    # Sources of one's own.
    "bands": (bands, TRAINS),
    "bands, not a number": (
        lambda folder: bands(folder, hostile.no_number),
        "2.npy has values that are not finite",
    ),
    "bands, one too few": (
        lambda folder: bands(folder, lambda array: array[:4]),
        r"2.npy must be read by Bands as .* of shape \(5, 8, 8\), got torch.float32 of \(4, 8, 8\)",
    ),
    "bands, of doubles": (
        lambda folder: bands(folder, lambda array: array.astype(np.float64)),
        "2.npy must be read by Bands as uint8 or float32 .*got torch.float64",
    ),
    "bands, cut": (hostile.cut_bands, "2.npy cannot be read"),
    "bands, pickled": (
        lambda folder: bands(folder, lambda array: np.array([folder], dtype=object)),
        "2.npy cannot be read: Object arrays cannot be loaded",
    ),
}


@pytest.mark.parametrize(("make", "words"), CASES.values(), ids=CASES)
def test_it_trains_or_ends_in_one_sentence(tmp_path, make, words):
    found = outcome(make(tmp_path))

    if words is TRAINS:
        assert found is TRAINS
    else:
        assert found is not None
        assert "\n" not in found
        assert re.search(words, found)


def test_each_folder_is_read_once_and_where_it_lies_itself(tmp_path, caplog):
    pictures(link("again", "."))(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "0.png").write_bytes(hostile.GOOD[0])
    (tmp_path / "above").symlink_to(tmp_path / "cat")

    source = ImageFolder(tmp_path)

    assert len(source) == 7
    assert source.class_names == ["cat"]
    assert "links to folders that were read already are left out" in caplog.text


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path):
    (tmp_path / "cat").mkdir()
    pictures()(tmp_path / "cat")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "all").symlink_to(tmp_path / "cat")

    assert len(ImageFolder(tmp_path / "data")) == 6


@pytest.mark.parametrize("extra", [link("x.png", "/none"), hostile.pipe, file("x.png", b"")])
def test_what_cannot_be_read_in_a_folder_counts_as_unreadable(tmp_path, extra):
    assert outcome(pictures(extra)(tmp_path), max_unreadable=1) is TRAINS


def test_one_locked_picture_of_a_zip_counts_as_unreadable(tmp_path):
    zipped()(tmp_path)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)

    assert "0.png in" in outcome(hostile.ImageZip(tmp_path / "a.zip"))
    assert outcome(hostile.ImageZip(tmp_path / "a.zip"), max_unreadable=1) is TRAINS


@pytest.mark.parametrize("limit", [1, 10**9])
@pytest.mark.parametrize(
    "content",
    [
        lambda: tar_of(("0.txt", b"a"), ("1.txt", b"b"), ("2.txt", b"c")),
        lambda: named_tar("image.txt"),
        lambda: named_tar("png", label=b"1").replace(b"\x89PNG", b"\x89ZIP"),
    ],
    ids=["no images", "no suffix", "unreadable"],
)
def test_a_stream_without_a_usable_image_ends_however_many_are_allowed(tmp_path, content, limit):
    stream = shard(content)(tmp_path)

    assert outcome(stream, max_unreadable=limit) is not TRAINS


def labels(source):
    batch = next(iter(module(source, image_size=8, eval_batch_size=6).reference_dataloader()))
    return batch["label"].tolist()


def test_classes_of_a_stream_are_numbers_or_names(tmp_path):
    def stream(label, **options):
        return shard(lambda: named_tar("a.png", label=label), **options)(tmp_path)

    assert labels(stream(b" 3\n")) == [3] * 6
    assert labels(stream(b"-1")) == [-1] * 6
    assert labels(stream(b"cat", class_names=["dog", "cat"])) == [1] * 6
    assert labels(stream(b"0", class_names=["dog", "cat"])) == [0] * 6
    assert labels(stream(b"cow", class_names=[])) == [-1] * 6
    assert module(stream(b"cat", class_names=["dog", "cat"])).class_names == ["dog", "cat"]


def test_the_chosen_image_of_each_sample_is_read(tmp_path):
    files = []
    for number in range(3):
        files += [
            (f"{number}.left.png", encoded(picture(number))),
            (f"{number}.RIGHT.PNG", encoded(picture(100 + number))),
        ]

    def first_pixels(image):
        stream = shard(lambda: tar_of(*files), image=image)(tmp_path)
        (batch,) = module(stream, image_size=8, max_unreadable=0).reference_dataloader()
        return [round((float(pixel) + 1) * 127.5) for pixel in batch["image"][:, 0, 0, 0]]

    assert first_pixels("left.png") == [0, 1, 2]
    assert first_pixels(".right.png") == [100, 101, 102]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_of_two_gigabytes_are_refused_at_once(tmp_path, monkeypatch, kind):
    monkeypatch.undo()
    zeros = bytes(10_000_000)
    path = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("0.png", "w", force_zip64=True) as opened,
        ):
            for _ in range(200):
                opened.write(zeros)
    else:
        info = tarfile.TarInfo("0.png")
        info.size = 2_000_000_000
        with gzip.open(path, "wb", 1) as opened:
            opened.write(info.tobuf())
            for _ in range(200):
                opened.write(zeros)
    begun = time.monotonic()

    words = outcome(hostile.ImageZip(path) if kind == "zip" else ShardStream(str(path)))

    assert "0.png" in words
    assert "must have at most" in words
    assert time.monotonic() - begun < 2
