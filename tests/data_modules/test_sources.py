import pickle
import shutil
import zipfile

import numpy as np
import pytest
import torch

from data_modules import LSUN, STL10, DataError, ImageFolder, ImageZip, Lmdb
from data_modules.pictures import to_tensor
from tests.pictures import encoded, picture
from tests.sources import numbers, write_lmdb


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_classes_are_folders_and_order_is_by_path(make_folder, kind):
    path, source = make_folder(6), ImageFolder
    if kind == "zip":
        path, source = shutil.make_archive(str(path), "zip", path), ImageZip

    images = source(path)

    assert images.class_names == ["cat", "dog"]
    assert numbers(images) == [0, 2, 4, 1, 3, 5]
    assert [images.read(index, 8).label for index in range(6)] == [0, 0, 0, 1, 1, 1]


def test_pictures_in_one_folder_have_no_class(tmp_path):
    picture(0).save(tmp_path / "0.png")

    images = ImageFolder(tmp_path)

    assert images.class_names == []
    assert images.read(0, 8).label == -1


def test_hidden_files_and_other_files_are_left_out(make_folder):
    folder = make_folder(2)
    (folder / ".cache").mkdir()
    for name in (".cache/thumb.png", "cat/._000.png", "read me.txt"):
        (folder / name).write_bytes(b"junk")

    assert len(ImageFolder(folder)) == 2


def test_the_description_changes_with_the_pictures_and_not_with_their_place(make_folder, tmp_path):
    folder = make_folder(4)
    before = ImageFolder(folder).description

    moved = folder.rename(tmp_path / "elsewhere")
    assert ImageFolder(moved).description == before

    picture(9).save(moved / "cat" / "009.png")
    assert ImageFolder(moved).description != before


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        len(ImageFolder(tmp_path))


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"there is no .*nowhere"):
        len(ImageFolder(tmp_path / "nowhere"))


def test_a_broken_zip_is_an_error_with_its_name(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK no zip")

    with pytest.raises(DataError, match="is not a complete zip file: File is not a zip file"):
        len(ImageZip(tmp_path / "a.zip"))


def test_a_damaged_member_of_a_zip_is_one_unusable_image(tmp_path):
    from data_modules.errors import UnusableImageError

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("0.png", encoded(picture(0)))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[60:70] = bytes(10)
    (tmp_path / "a.zip").write_bytes(content)

    with pytest.raises(UnusableImageError, match=r"0.png"):
        ImageZip(tmp_path / "a.zip").read(0, 8)


def test_lmdb_reads_raw_squares_and_encoded_images_in_numeric_order(tmp_path):
    values = [
        np.asarray(picture(number)).tobytes() if number % 2 else encoded(picture(number))
        for number in range(12)
    ]

    images = Lmdb(write_lmdb(tmp_path / "train.lmdb", values))

    assert len(images) == 12
    for number in range(12):
        assert torch.equal(images.read(number, 8).image, to_tensor(picture(number)))


def test_lmdb_of_other_keys_is_read_in_its_own_order_and_limited(tmp_path):
    keys = [b"b", b"a", b"c", b"__len__"]
    values = [encoded(picture(number)) for number in range(3)] + [b"3"]

    images = Lmdb(write_lmdb(tmp_path / "l", values, keys), limit=2)

    assert numbers(images) == [1, 0]


def test_lmdb_names_the_key_of_an_unreadable_value(tmp_path):
    images = Lmdb(write_lmdb(tmp_path / "l", [b"junk"]))

    with pytest.raises(DataError, match=r"^0 in .*cannot be read as an image"):
        images.read(0, 8)


def test_lmdb_that_is_none_is_an_error(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"junk")

    with pytest.raises(DataError, match="MDB_INVALID: File is not an LMDB file"):
        len(Lmdb(tmp_path))


def test_lsun_says_what_to_fetch_and_reads_what_was_fetched(tmp_path):
    with pytest.raises(DataError, match=r"fetch http.*church_outdoor_train_lmdb.zip"):
        len(LSUN(tmp_path))
    write_lmdb(
        tmp_path / "church_outdoor_train_lmdb",
        [encoded(picture(0)), encoded(picture(1))],
        [b"x", b"y"],
    )

    assert numbers(LSUN(tmp_path)) == [0, 1]


def test_stl10_is_read_column_by_column(tmp_path):
    image = picture(5, 96)
    (tmp_path / "stl10_binary").mkdir()
    columns = np.asarray(image).transpose(2, 1, 0)
    (tmp_path / "stl10_binary" / "unlabeled_X.bin").write_bytes(columns.tobytes() * 2)

    images = STL10(tmp_path)

    assert len(images) == 2
    assert torch.equal(images.read(1, 96).image, to_tensor(image))


def test_a_missing_or_cut_download_is_an_error(tmp_path):
    from data_modules import CIFAR10

    (tmp_path / "stl10_binary").mkdir()
    (tmp_path / "stl10_binary" / "unlabeled_X.bin").write_bytes(b"cut")
    for source in (STL10(tmp_path), CIFAR10(tmp_path)):
        with pytest.raises(DataError, match="set download to fetch it"):
            len(source)


def test_cifar10_is_read_with_its_labels(tmp_path, monkeypatch):
    from types import SimpleNamespace

    import torchvision.datasets

    from data_modules import CIFAR10

    pixels = np.stack([np.asarray(picture(number, 32)) for number in range(3)])
    stand_in = SimpleNamespace(data=pixels, targets=[3, 1, 2], classes=["a", "b", "c", "d"])
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", lambda *arguments, **options: stand_in)

    images = CIFAR10(tmp_path)

    assert len(images) == 3
    assert images.read(0, 32).label == 3
    assert torch.equal(images.read(2, 32).image, to_tensor(picture(2, 32)))


def test_a_source_in_another_process_opens_its_own_files(make_folder, tmp_path):
    folder = make_folder(4)
    for source in (
        ImageFolder(folder),
        ImageZip(shutil.make_archive(str(folder), "zip", folder)),
        Lmdb(write_lmdb(tmp_path / "l", [encoded(picture(0))])),
    ):
        first = source.read(0, 8).image

        assert torch.equal(pickle.loads(pickle.dumps(source)).read(0, 8).image, first)


def test_the_split_is_disjoint_whole_and_the_same_each_time(make_folder):
    source = ImageFolder(make_folder(20))

    training, held_out = source.split(5)

    assert len(training) == 15
    assert sorted(numbers(training) + numbers(held_out)) == list(range(20))
    assert numbers(held_out) == numbers(source.split(5)[1])
    assert training.class_names == ["cat", "dog"]
    assert training.name(0).endswith(".png")


def test_too_many_held_out_is_an_error(make_folder):
    with pytest.raises(DataError, match="held_out must be from 0 to less than the 4 images, got 4"):
        ImageFolder(make_folder(4)).split(4)
