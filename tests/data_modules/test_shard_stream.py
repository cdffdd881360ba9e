import pickle
import re
import tarfile
from itertools import islice

import pytest
import torch

from data_modules import DataError, ShardStream
from data_modules.shard_reader import ShardReader
from data_modules.shard_stream import StreamDraws, StreamPass
from tests.sources import module


def stream(folder, **options):
    shards = sorted(folder.glob("train-*.tar"))
    return ShardStream(
        f"{folder}/train-{{000000..{len(shards) - 1:06d}}}.tar", **{"mixed": 8} | options
    )


def first_pixels(batches):
    return [int(pixel) for batch in batches for pixel in batch["image"][:, 0, 0, 0]]


def streamed(folder, **options):
    return module(stream(folder), **{"image_size": 8, "flip": False} | options)


def test_training_has_no_end_and_numbers_images(make_shards):
    data = streamed(make_shards(12), images_seen=8)

    batches = list(islice(data.train_dataloader(), 20))

    assert [batch["index"].tolist() for batch in batches[:2]] == [[8, 9, 10, 11], [12, 13, 14, 15]]
    assert set(first_pixels(batches)) == set(range(12))
    assert all(
        label == pixel % 2
        for batch in batches
        for label, pixel in zip(batch["label"], batch["image"][:, 0, 0, 0], strict=True)
    )


def test_the_same_seed_and_place_give_the_same_images(make_shards):
    folder = make_shards(12)

    def images(**options):
        return first_pixels(islice(streamed(folder, **options).train_dataloader(), 10))

    assert images() == images()
    assert images() != images(seed=1)
    assert images() != images(images_seen=8), (
        "a run that starts again must not repeat its first shards"
    )


def test_flips_happen_when_asked(make_shards):
    folder = make_shards(12)
    left_edges = {
        flip: set(first_pixels(islice(streamed(folder, flip=flip).train_dataloader(), 60)))
        for flip in (True, False)
    }

    assert left_edges[False] == set(range(12))
    assert len(left_edges[True]) > 12


def test_two_ranks_with_two_workers_do_not_overlap(make_shards):
    folder = make_shards(12, shard_images=3)
    seen = []
    for rank in range(2):
        batches = list(
            islice(
                streamed(
                    folder, rank=rank, ranks=2, num_workers=2, start_method="fork"
                ).train_dataloader(),
                40,
            )
        )
        assert batches[3]["index"].tolist() == [12 + 2 * rank, 13 + 2 * rank]
        seen += [set(first_pixels(batches[worker::2])) for worker in range(2)]

    assert all(len(reader) == 3 for reader in seen)
    assert set.union(*seen) == set(range(12))


def test_it_can_be_sent_to_a_worker_that_is_not_forked(make_shards):
    shards = stream(make_shards(3))
    draws = StreamDraws(shards, shards.shards(), 8, 2, flip=True, key=(0, 0, 0))

    copy = pickle.loads(pickle.dumps(draws))

    assert torch.equal(next(iter(copy)).batch["image"], next(iter(draws)).batch["image"])


def test_a_pass_reads_each_image_once_over_all_ranks(make_shards):
    folder = make_shards(11)

    passes = [streamed(folder, rank=rank, ranks=2).reference_dataloader() for rank in range(2)]

    pixels = [
        round((float(pixel) + 1) * 127.5)
        for one in passes
        for batch in one
        for pixel in batch["image"][:, 0, 0, 0]
    ]
    assert sorted(pixels) == list(range(11))


def test_fewer_shards_than_readers_is_an_error(make_shards):
    data = streamed(make_shards(6, shard_images=3), ranks=2, num_workers=2)

    with pytest.raises(DataError, match=r"2 shards cannot feed 2 processes x 2 workers"):
        next(iter(data.train_dataloader()))


@pytest.mark.parametrize("part", [0.01, 0.1, 0.3, 0.5])
def test_a_cut_shard_is_an_error_with_its_name(make_shards, part):
    path = make_shards(3) / "train-000000.tar"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])

    with pytest.raises(
        DataError, match=rf"{re.escape(str(path))} (cannot be read to its|is cut off)"
    ):
        list(ShardReader().files(str(path)))


def test_a_cut_between_two_files_is_noticed(make_shards):
    path = make_shards(3) / "train-000000.tar"
    with tarfile.open(path) as tar:
        offset = tar.getmembers()[-2].offset
    path.write_bytes(path.read_bytes()[:offset])

    with pytest.raises(DataError, match="is cut off"):
        list(ShardReader().files(str(path)))


def test_a_missing_shard_is_an_error_with_its_name(tmp_path):
    with pytest.raises(DataError, match=r"gone.tar cannot be read"):
        list(ShardReader().files(str(tmp_path / "gone.tar")))


def test_an_unreadable_image_in_a_stream_is_named(tmp_path):
    from webdataset import TarWriter

    with (tmp_path / "a.tar").open("wb") as file, TarWriter(file, encoder=False) as tar:
        tar.write({"__key__": "broken", "png": b"junk"})
        tar.write({"__key__": "without", "txt": b"no image"})
    batches = StreamPass(ShardStream("unused"), [str(tmp_path / "a.tar")], 8, 4)

    (fetched,) = list(batches)

    assert len(fetched.batch["index"]) == 0
    assert any(
        "broken in" in name and "cannot be read" in why for name, why in fetched.unusable.items()
    )
    assert any(
        "without in" in name and "has no image" in why for name, why in fetched.unusable.items()
    )


def test_a_stream_has_no_held_out_part(make_shards):
    with pytest.raises(DataError, match="held_out must be 0 for a stream"):
        streamed(make_shards(3), held_out=1).setup()
    with pytest.raises(DataError, match="there is no held-out split"):
        streamed(make_shards(3, name="other")).held_out_dataloader()


def test_statistics_and_fingerprint_of_a_stream(make_shards):
    data = streamed(make_shards(3))
    assert len(data.fingerprint) == 16


def test_no_urls_is_an_error():
    with pytest.raises(DataError, match="urls is empty: name at least one shard"):
        ShardStream([]).shards()
