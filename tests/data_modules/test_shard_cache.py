import os
from itertools import islice

import pytest

from data_modules import ShardStream, shard_cache
from data_modules.shard_cache import ShardCache
from data_modules.shard_reader import ShardReader
from tests.data_modules import fault_server as faults
from tests.data_modules.fault_server import serving
from tests.sources import module

KILOBYTE = 1000


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_cache, "_STEP", KILOBYTE)
    return ShardCache(tmp_path / "cache", 100 * KILOBYTE)


def files(url, cache):
    return list(ShardReader(cache=cache, tries=1).files(url))


def kept(cache):
    return sorted(path.name for path in cache.folder.iterdir())


@pytest.fixture
def shards(make_shards):
    return make_shards(12, shard_images=3)


def test_a_shard_is_fetched_once(shards, cache):
    with serving(shards, faults.good) as server:
        url = f"{server.address}/train-000000.tar"
        first = files(url, cache)
        again = files(url, cache)

    assert first == again
    assert len(server.requests) == 1
    assert len(kept(cache)) == 1
    assert kept(cache)[0].endswith("-train-000000.tar")


def test_a_copy_serves_while_the_server_is_away(shards, cache):
    with serving(shards, faults.good) as server:
        url = f"{server.address}/train-000000.tar"
        first = files(url, cache)

    assert files(url, cache) == first


def test_a_shard_that_changed_is_fetched_again(shards, cache):
    with serving(shards, faults.good) as server:
        url = f"{server.address}/train-000000.tar"
        files(url, cache)
        os.replace(shards / "train-000001.tar", shards / "train-000000.tar")
        changed = files(url, cache)

    assert len(server.requests) == 2
    assert [file.data for file in changed] == [
        file.data for file in files(str(shards / "train-000000.tar"), None)
    ]
    assert len(kept(cache)) == 1


def test_a_damaged_copy_is_fetched_again(shards, cache):
    with serving(shards, faults.good) as server:
        url = f"{server.address}/train-000000.tar"
        first = files(url, cache)
        (copy,) = cache.folder.iterdir()
        os.truncate(copy, 1000)
        again = files(url, cache)

    assert again == first
    assert len(server.requests) == 2


def test_it_holds_no_more_than_it_may_and_drops_what_was_read_longest_ago(shards, cache):
    size = (shards / "train-000000.tar").stat().st_size
    cache.most_bytes = int(2.5 * size)
    mine = cache.folder / "thesis.tex"
    cache.folder.mkdir()
    mine.write_bytes(bytes(10 * size))
    with serving(shards, faults.good) as server:
        for number, age in ((0, 300), (1, 100), (0, 0), (2, 0)):
            files(f"{server.address}/train-00000{number}.tar", cache)
            for path in cache.folder.glob("*.tar"):
                read = path.stat().st_mtime - age
                os.utime(path, (read, read))

    names = [name.rpartition("-")[2] for name in kept(cache)]
    assert sorted(names) == ["000000.tar", "000002.tar", "thesis.tex"]


def test_a_shard_larger_than_the_cache_is_read_all_the_same(shards, cache):
    cache.most_bytes = 2 * KILOBYTE
    with serving(shards, faults.good) as server:
        assert len(files(f"{server.address}/train-000000.tar", cache)) == 6

    assert kept(cache) == []


def test_what_is_not_read_to_its_end_is_not_kept(shards, cache):
    with serving(shards, faults.half) as server, pytest.raises(ValueError, match="is cut off"):
        files(f"{server.address}/train-000000.tar", cache)
    with serving(shards, faults.good) as server:
        next(iter(ShardReader(cache=cache).files(f"{server.address}/train-000000.tar")))

    assert kept(cache) == []


def test_a_disk_that_is_full_is_said_once_and_does_not_matter(shards, cache, caplog, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ShardCache, "make_room", full)
    with serving(shards, faults.good) as server:
        for number in range(3):
            assert len(files(f"{server.address}/train-00000{number}.tar", cache)) == 6

    assert kept(cache) == []
    assert caplog.text.count("No space left on device") == 1


def test_two_workers_share_it_and_train_the_same(shards, tmp_path):
    with serving(shards, faults.good) as server:

        def images(cache):
            stream = ShardStream(
                f"{server.address}/train-{{000000..000003}}.tar", mixed=4, cache=cache
            )
            data = module(stream, image_size=8, num_workers=2, start_method="fork")
            batches = islice(data.train_dataloader(), 12)
            return [int(pixel) for batch in batches for pixel in batch["image"][:, 0, 0, 0]]

        assert images(None) == images(tmp_path / "cache") == images(tmp_path / "cache")
