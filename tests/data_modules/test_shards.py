import json
import pickle

import numpy as np
import pytest

from data_modules import DataError, ImageFolder, Shards
from tests.sources import numbers


def test_shards_hold_the_pictures_of_the_folder_with_their_labels(make_shards, tmp_path):
    shards = Shards(make_shards(20))
    folder = ImageFolder(tmp_path / "shards-pictures")

    labels = {
        int(sample.image[0, 0, 0]): sample.label
        for sample in (shards.read(index, 8) for index in range(20))
    }

    assert shards.class_names == folder.class_names
    assert labels == {number: number % 2 for number in range(20)}


def test_webdataset_reads_the_same_files(make_shards):
    import webdataset as wds

    path = make_shards(6, shard_images=10) / "train-000000.tar"

    samples = list(wds.WebDataset(str(path), shardshuffle=False).decode("pil"))

    assert [sample["webp"].getpixel((0, 0))[0] for sample in samples] == numbers(
        Shards(path.parent)
    )
    assert [sample["cls"] for sample in samples] == [
        Shards(path.parent).read(index, 8).label for index in range(6)
    ]


@pytest.mark.parametrize("window", [1, 2, 3, 16])
def test_an_epoch_is_a_permutation_whatever_the_window(make_shards, window):
    shards = Shards(make_shards(20), window)

    orders = [shards.shuffle(np.arange(20), 0, epoch).tolist() for epoch in range(3)]

    assert all(sorted(order) == list(range(20)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_any_place_of_an_epoch_is_found_alone(make_shards):
    shards = Shards(make_shards(20), window=2)
    whole = shards.shuffle(np.arange(20), 0, 1).tolist()

    assert [int(shards.shuffle(np.array([place]), 0, 1)[0]) for place in range(20)] == whole


def test_a_window_reads_from_few_shards(make_shards):
    shards = Shards(make_shards(24, shard_images=3), window=2)

    order = shards.shuffle(np.arange(24), 0, 0)

    for start in range(0, 24, 6):
        assert len(set((order[start : start + 6] // 3).tolist())) == 2


def test_the_prepared_part_is_held_out(make_shards):
    folder = make_shards(20, held_out=5)

    training, held_out = Shards(folder).split(0)

    assert len(held_out) == 5
    assert sorted(numbers(training) + numbers(held_out)) == list(range(20))
    assert numbers(Shards(folder).split(2)[1]) == numbers(held_out)[:2]
    assert training.description != held_out.description
    with pytest.raises(
        DataError, match="was prepared, got 6: prepare the data again with more held out"
    ):
        Shards(folder).split(6)


def test_few_files_stay_open(make_shards):
    shards = Shards(make_shards(20, shard_images=1), window=2)

    numbers(shards)

    assert len(shards._opened_shards) == 4


def test_a_copy_in_another_process_opens_its_own_files(make_shards):
    shards = Shards(make_shards(6))
    before = numbers(shards)

    assert numbers(pickle.loads(pickle.dumps(shards))) == before


def test_a_shard_cut_in_half_is_an_error_with_its_name(make_shards):
    folder = make_shards(6)
    path = folder / "train-000001.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(DataError, match="must have 10,240 bytes, got 5,120: copy it again"):
        len(Shards(folder))


def test_a_missing_shard_is_an_error_with_its_name(make_shards):
    folder = make_shards(6)
    (folder / "train-000001.tar").unlink()

    with pytest.raises(DataError, match=r"train-000001.tar is missing"):
        len(Shards(folder))


def test_damage_inside_a_shard_is_an_error_with_its_name(make_shards):
    folder = make_shards(3)
    path = folder / "train-000000.tar"
    path.write_bytes(bytes(path.stat().st_size))

    with pytest.raises(DataError, match=r"image 0 of .*train-000000.tar is damaged"):
        Shards(folder).read(0, 8)


def test_a_folder_without_shards_says_to_prepare(tmp_path):
    with pytest.raises(DataError, match="run prepare"):
        len(Shards(tmp_path))


def test_an_index_of_another_format_is_an_error(make_shards):
    path = make_shards(3) / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))

    with pytest.raises(DataError, match="another format"):
        len(Shards(path.parent))


def test_a_larger_size_than_prepared_is_refused_at_once(make_shards):
    folder = make_shards(3)

    with pytest.raises(
        DataError, match="was prepared, got 16: prepare it again at that size, or set upscale"
    ):
        Shards(folder).check(16)
    Shards(folder, upscale=True).check(16)
    assert Shards(folder, upscale=True).read(0, 16).image.shape == (3, 16, 16)
    assert Shards(folder).read(0, 4).image.shape == (3, 4, 4)
