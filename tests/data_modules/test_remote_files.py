import time
from itertools import islice

import fsspec
import pytest

from data_modules import ShardStream, steady_file
from data_modules.remote_files import version
from data_modules.shard_reader import ShardReader
from data_modules.steady_file import ShardError
from tests.data_modules import fault_server as faults
from tests.data_modules.fault_server import serving
from tests.sources import module


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(steady_file, "_FIRST_WAIT", 0.01)


@pytest.fixture
def shards(make_shards):
    return make_shards(12, shard_images=6)


@pytest.fixture
def store(shards):
    """The shards in an object store, as fsspec has one in memory."""
    files = fsspec.filesystem("memory")
    for path in shards.glob("*.tar"):
        files.pipe_file(f"/{shards.parent.name}/{path.name}", path.read_bytes())
    return f"memory://{shards.parent.name}"


def files(url, **options):
    read = ShardReader(**{"tries": 2, "stall_timeout": 10} | options).files(url)
    return [(file.name, file.data) for file in read]


def first_pixels(source, batches=12):
    data = module(source, image_size=8, flip=False)
    return [
        int(pixel)
        for batch in islice(data.train_dataloader(), batches)
        for pixel in batch["image"][:, 0, 0, 0]
    ]


def test_an_object_store_gives_the_files_of_the_folder(shards, store):
    assert files(f"{store}/train-000000.tar") == files(str(shards / "train-000000.tar"))


def test_a_command_gives_the_files_of_the_folder(shards):
    path = shards / "train-000000.tar"

    assert files(f"pipe:cat {path}") == files(str(path))
    assert files(f"pipe:gzip -c {path}") == files(str(path))


def test_training_is_the_same_wherever_shards_lie(shards, store):
    places = [str(shards), store, f"file://{shards}", f"pipe:cat {shards}"]
    with serving(shards, faults.good) as server:
        trained = [
            first_pixels(ShardStream(f"{place}/train-{{000000..000001}}.tar", mixed=8))
            for place in [*places, server.address]
        ]

    assert set(trained[0]) == set(range(12))
    assert all(other == trained[0] for other in trained)


def test_what_a_store_lacks_is_a_sentence(store):
    with pytest.raises(ShardError, match=r"^the shard memory://.*/gone.tar .*: it is not there$"):
        files(f"{store}/gone.tar")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("exit 3", r"the command ended with exit code 3 \(2 tries\)"),
        ("false", "the command ended with exit code 1"),
        ("no-such-program", "the command ended with exit code 127"),
        ("echo no tar", "cannot be read to its end"),
        ("head -c 3000 {tar}", "it is cut off"),
        ("head -c 3000 {tar}; exit 4", "the command ended with exit code 4"),
    ],
)
def test_commands_that_fail_are_a_sentence(shards, command, words):
    command = command.format(tar=shards / "train-000000.tar")

    with pytest.raises(ShardError, match=words):
        files(f"pipe:{command}")


def test_a_command_that_hangs_is_ended(shards, tmp_path):
    begun, mark = time.monotonic(), tmp_path / "survived"
    command = f"pipe:cat {shards}/train-000000.tar; sleep 0.7; touch {mark}"

    with pytest.raises(ShardError, match=r"nothing came for 0\.1 s \(2 tries\)"):
        files(command, stall_timeout=0.1)

    assert time.monotonic() - begun < 5
    time.sleep(max(0, begun + 1 - time.monotonic()))
    assert not mark.exists()


def test_a_changed_file_has_another_version(shards, store):
    url = f"{store}/train-000000.tar"
    before = version(url, 10)
    fsspec.filesystem("memory").pipe_file(url.removeprefix("memory:/"), b"another")

    assert before
    assert version(url, 10) != before
    assert version(f"{store}/gone.tar", 10) == ""


def test_a_stream_s_fingerprint_sees_changes_here_and_elsewhere(shards):
    def fingerprint(place):
        return module(ShardStream(f"{place}/train-{{000000..000001}}.tar")).fingerprint

    with serving(shards, faults.good) as server:
        before = fingerprint(shards), fingerprint(server.address)
        assert before == (fingerprint(shards), fingerprint(server.address))
        (shards / "train-000001.tar").write_bytes((shards / "train-000000.tar").read_bytes())
        after = fingerprint(shards), fingerprint(server.address)

    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_server_that_describes_nothing_is_waited_for_a_moment(tmp_path):
    with serving(tmp_path, faults.stall_before_answering) as server:
        begun = time.monotonic()
        assert version(f"{server.address}/a.tar", 0.2) == ""
        assert time.monotonic() - begun < 2
