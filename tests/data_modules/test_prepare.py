import math
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from data_modules import DataError, ImageFolder, Lmdb, Scenes, Shards, ShardStream
from data_modules import prepare as prepare_module
from data_modules.encoding import PictureFormat
from data_modules.prepare import ShardsSummary, open_source, prepare
from data_modules.shard_stream import StreamPass
from tests.pictures import encoded, picture
from tests.sources import numbers, write_lmdb


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_counts_what_it_made(make_folder, tmp_path):
    summary = prepare(make_folder(10), tmp_path / "out", 8, held_out=3, shard_images=4, workers=0)

    assert summary == ShardsSummary(
        folder=tmp_path / "out",
        training_images=7,
        held_out_images=3,
        unreadable_images=0,
        shards=3,
        bytes=sum(path.stat().st_size for path in (tmp_path / "out").glob("*.tar")),
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(
            f"{name}.{suffix}"
            for name in ("held-out-000000", "train-000000", "train-000001")
            for suffix in ("tar", "npy")
        ),
        "index.json",
        "unreadable.txt",
    }


def test_a_zip_and_an_lmdb_are_recognised(make_folder, tmp_path):
    folder = make_folder(3)
    database = write_lmdb(tmp_path / "l", [encoded(picture(number)) for number in range(3)])

    for path in (shutil.make_archive(str(folder), "zip", folder), database):
        assert len(open_source(Path(path))) == 3
    assert isinstance(open_source(database), Lmdb)


def test_what_is_none_of_them_is_an_error(tmp_path):
    with pytest.raises(DataError, match="neither a folder of images, nor a zip, nor an LMDB"):
        open_source(tmp_path / "nothing.txt")


def test_two_processes_write_the_same_files_as_none(make_folder, tmp_path):
    folder = make_folder(10)
    for workers in (0, 2):
        prepare(folder, tmp_path / str(workers), 8, shard_images=4, workers=workers)

    assert contents(tmp_path / "0") == contents(tmp_path / "2")


@pytest.mark.parametrize("stop_after", [0, 3, 5, 9])
def test_an_interrupted_run_is_taken_up_and_ends_with_the_same_files(
    make_folder, tmp_path, monkeypatch, stop_after
):
    folder = make_folder(10)
    (folder / "cat" / "004.png").write_bytes(b"junk")
    prepare(folder, tmp_path / "whole", 8, held_out=2, shard_images=3, workers=0)
    reads = []
    read = ImageFolder.read

    def interrupted(source, index, size):
        if len(reads) == stop_after:
            raise KeyboardInterrupt
        reads.append(index)
        return read(source, index, size)

    monkeypatch.setattr(prepare_module, "_CHUNK_IMAGES", 1)
    monkeypatch.setattr(ImageFolder, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(folder, tmp_path / "out", 8, held_out=2, shard_images=3, workers=0)
    done = {path.name for path in (tmp_path / "out").glob("*.tar")}
    # As a process leaves it that is killed and cannot tidy up.
    (tmp_path / "out" / ".train-000000.tar.17.part").write_bytes(b"half")
    with pytest.raises(DataError, match="run prepare"):
        len(Shards(tmp_path / "out"))

    monkeypatch.setattr(
        ImageFolder,
        "read",
        lambda source, index, size: reads.append(index) or read(source, index, size),
    )
    reads.clear()
    prepare(folder, tmp_path / "out", 8, held_out=2, shard_images=3, workers=0)

    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert len(reads) == 10 - {0: 0, 1: 2, 2: 5, 3: 8}[len(done)]


def test_a_finished_folder_is_left_alone(make_folder, tmp_path, monkeypatch):
    arguments = make_folder(4), tmp_path / "out", 8
    first = prepare(*arguments, workers=0)
    monkeypatch.setattr(prepare_module, "_write_missing", lambda *_: pytest.fail("worked again"))

    assert prepare(*arguments, workers=0) == first


@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_are_not_mixed_in(make_folder, tmp_path, monkeypatch, finished):
    folder = make_folder(4)
    if not finished:
        monkeypatch.setattr(
            prepare_module, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            prepare(folder, tmp_path / "out", 8, workers=0)
    else:
        prepare(folder, tmp_path / "out", 8, workers=0)

    with pytest.raises(DataError, match="prepared with another image_size and shard_images"):
        prepare(folder, tmp_path / "out", 4, shard_images=7, workers=0)
    picture(99).save(folder / "cat" / "099.png")
    with pytest.raises(DataError, match="prepared with another source"):
        prepare(folder, tmp_path / "out", 8, workers=0)


def peak_signal_to_noise(first, second):
    error = (first.double() - second.double()).square().mean()
    return float(10 * torch.log10(255**2 / error))


@pytest.mark.parametrize(("format", "suffix"), [("webp", "webp"), ("jpeg", "jpg")])
def test_pictures_may_be_stored_with_some_loss(tmp_path, format, suffix):
    scenes, chosen = Scenes(6), PictureFormat[format]
    whole = prepare(scenes, tmp_path / "whole", 16, workers=0)
    for quality in (40, 95):
        prepare(scenes, tmp_path / f"{quality}", 16, format=chosen, quality=quality, workers=0)
        with tarfile.open(tmp_path / f"{quality}" / "train-000000.tar") as tar:
            assert {name.partition(".")[2] for name in tar.getnames()} == {suffix, "cls"}

    exact, low, high = (Shards(tmp_path / name) for name in ("whole", "40", "95"))
    assert whole.training_images == len(low) == len(high) == 6
    for number in range(6):
        image = exact.read(number, 16).image
        errors = [peak_signal_to_noise(image, part.read(number, 16).image) for part in (low, high)]
        assert errors[0] < errors[1] < math.inf
        assert errors[1] > 25
    stream = ShardStream(str(tmp_path / "95" / "train-*.tar"))
    stream = StreamPass(stream, stream.shards(), 16, 4)
    streamed = [image for fetched in stream for image in fetched.batch["image"]]
    for number, image in enumerate(streamed):
        assert image.equal(high.read(number, 16).image)
    assert len(streamed) == 6


@pytest.mark.parametrize(
    ("format", "quality", "sentence"),
    [
        ("jpeg", None, "quality must be given for jpeg, .* got none: give --quality 95"),
        ("jpeg", 0, "quality must be 1 to 100, or none to store without loss, got 0"),
        ("webp", 101, "quality must be 1 to 100, or none to store without loss, got 101"),
    ],
)
def test_qualities_that_a_format_lacks_are_refused(
    make_folder, tmp_path, format, quality, sentence
):
    with pytest.raises(DataError, match=sentence):
        prepare(make_folder(2), tmp_path / "out", 8, format=PictureFormat[format], quality=quality)
    assert not (tmp_path / "out").exists()


def test_formats_are_not_mixed(make_folder, tmp_path):
    folder = make_folder(2)
    prepare(folder, tmp_path / "out", 8, workers=0)
    with pytest.raises(DataError, match="prepared with another format and quality"):
        prepare(folder, tmp_path / "out", 8, format=PictureFormat.jpeg, quality=90, workers=0)


def test_a_folder_of_something_else_is_refused(make_folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()

    with pytest.raises(DataError, match="holds other files"):
        prepare(make_folder(4), tmp_path / "out", 8, workers=0)


def test_unreadable_and_small_images_are_listed_and_left_out(make_folder, tmp_path, capsys):
    folder = make_folder(6)
    (folder / "cat" / "002.png").write_bytes(b"junk")
    picture(5, 4).save(folder / "dog" / "005.png")

    summary = prepare(folder, tmp_path / "out", 8, workers=0)

    listed = (tmp_path / "out" / "unreadable.txt").read_text().splitlines()
    assert summary.unreadable_images == 2
    assert summary.training_images == 4
    assert sorted(numbers(Shards(tmp_path / "out"))) == [0, 1, 3, 4]
    assert len(listed) == 2
    assert any("002.png cannot be read" in line for line in listed)
    assert any("005.png is 4x4, smaller than the 8x8" in line for line in listed)
    assert capsys.readouterr().err.count("Left out") == 2


def test_more_unreadable_images_than_allowed_are_an_error(make_folder, tmp_path):
    folder = make_folder(6)
    for number in (0, 2):
        (folder / "cat" / f"00{number}.png").write_bytes(b"junk")

    with pytest.raises(DataError, match="more than max_unreadable = 1 images"):
        prepare(folder, tmp_path / "out", 8, workers=0, max_unreadable=1)


def test_nothing_usable_is_an_error(make_folder, tmp_path):
    with pytest.raises(DataError, match=r"none of the 4 images can be used; .* smaller than"):
        prepare(make_folder(4), tmp_path / "out", 16, workers=0)


def test_small_pictures_are_enlarged_when_asked(make_folder, tmp_path):
    prepare(make_folder(4), tmp_path / "out", 16, workers=0, upscale=True)

    assert Shards(tmp_path / "out").read(0, 16).image.shape == (3, 16, 16)


def test_it_is_a_command_under_jsonargparse(make_folder, tmp_path):
    from jsonargparse import CLI

    folder = make_folder(4)

    summary = CLI(
        prepare, args=[str(folder), str(tmp_path / "a"), "8", "--workers=0", "--held_out=1"]
    )
    assert summary.training_images == 3

    source = [f"--source.path={folder}", f"--out={tmp_path / 'b'}", "--image_size=8"]
    summary = CLI(
        prepare,
        args=["--source=data_modules.ImageFolder", *source, "--workers=0"],
        as_positional=False,
    )
    assert summary.training_images == 4


def sticker(number: int) -> Image.Image:
    """A coloured disc on a transparent ground, 64 pixels wide."""
    image = Image.new("RGBA", (64, 64))
    colour = (number * 37 % 256, number * 91 % 256, 40, 255)
    ImageDraw.Draw(image).ellipse((8, 8, 40 + number % 16, 56), fill=colour)
    return image


def test_transparent_pictures_of_two_formats_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "stickers.zip", "w") as stickers:
        for number in range(40):
            kind, options = (("PNG", {}), ("WEBP", {"lossless": True}))[number % 2]
            name = f"{number:03d}.{kind.lower()}"
            stickers.writestr(name, encoded(sticker(number), kind, **options))

    summary = prepare(
        tmp_path / "stickers.zip", tmp_path / "out", 32, held_out=8, shard_images=16, workers=0
    )

    assert (summary.training_images, summary.held_out_images, summary.unreadable_images) == (
        32,
        8,
        0,
    )
    shards = Shards(tmp_path / "out")
    for index in range(len(shards)):
        image = shards.read(index, 32).image
        assert image[:, 0, 0].tolist() == [255, 255, 255]
        assert image.float().std() > 5
