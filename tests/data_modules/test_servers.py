"""Shards from a server on this machine that has the faults of servers elsewhere."""

import re
import time
from itertools import islice, pairwise

import pytest

from data_modules import DataError, ShardStream, steady_file, unusable
from data_modules.prepare import prepare
from data_modules.shard_reader import ShardReader
from data_modules.shard_samples import Naming, grouped
from data_modules.steady_file import ShardError
from tests.data_modules import fault_server as faults
from tests.data_modules.fault_server import once, serving, status
from tests.pictures import picture
from tests.sources import module

PATIENCE = 10
"""Seconds, where nothing is meant to stall."""

STALL = 0.5


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(steady_file, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(steady_file, "_PIECE", 20_000)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Two shards of six images and 1.8 MB, more than what aiohttp reads ahead and loses with a connection."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "pictures").mkdir()
    for number in range(12):
        picture(number, 320).save(folder / "pictures" / f"{number:02d}.bmp")
    prepare(folder / "pictures", folder / "shards", 320, shard_images=6, workers=0)
    return folder / "shards"


def keys(url, **options):
    reader = ShardReader(**{"stall_timeout": PATIENCE, "tries": 2} | options)
    return [sample.key for sample in grouped(reader.files(url), Naming())]


HARMLESS = {
    "good": faults.good,
    "500 once": once(status(500)),
    "503 once": once(status(503)),
    "429 once": once(status(429)),
    "cut once": once(faults.cut),
    "cut at each third": faults.cut_again_and_again,
    "cut, without ranges": faults.cut_from_the_start,
    "ends silently once": once(faults.end_silently),
    "stalls once": once(faults.stall),
    "stalls once before answering": once(faults.stall_before_answering),
    "trickles once": once(faults.trickle),
    "announces too much once": once(faults.announce_too_much),
    "announces too little once": once(faults.announce_too_little),
    "redirects": faults.redirect_once,
    "a page once": once(faults.page),
    "half a tar once": once(faults.half),
    "a damaged header once": once(faults.damaged),
}


@pytest.mark.parametrize("fault", HARMLESS.values(), ids=HARMLESS)
def test_each_image_comes_once_through_passing_faults(shards, fault):
    expected = keys(str(shards / "train-000000.tar"))

    with serving(shards, fault) as server:
        # One try is for the fault, the others for a machine that is busy.
        found = keys(f"{server.address}/train-000000.tar", stall_timeout=STALL, tries=4)
    assert found == expected
    assert len(expected) == 6


LASTING = {
    "500": (status(500), r"the server answers 500 Internal Server Error \(2 tries\)"),
    "404": (status(404), "it is not there$"),
    "410": (status(410), "the server answers 410 Gone$"),
    "403": (status(403), "access is refused: check the credentials$"),
    "cuts": (faults.cut, r"the connection was cut.* \(2 tries\)"),
    "stalls": (faults.stall, r"nothing came for 0.5 s, after .* bytes \(2 tries\)"),
    "never answers": (faults.stall_before_answering, r"nothing came for 0.5 s \(2 tries\)"),
    "trickles": (faults.trickle, r"nothing came for 0.5 s \(2 tries\)"),
    "announces too much": (
        faults.announce_too_much,
        r"the connection was cut, after .* bytes \(2 tries\)",
    ),
    "announces too little": (faults.announce_too_little, "it is cut off"),
    "ends silently": (faults.end_silently, "it is cut off"),
    "redirects for ever": (
        faults.redirect,
        "the server leads from one address to the next without end$",
    ),
    "a page": (faults.page, "cannot be read to its end"),
    "half a tar": (faults.half, "it is cut off"),
    "a damaged header": (faults.damaged, "it is damaged, or goes on behind its end, at byte"),
}


@pytest.mark.parametrize(("fault", "words"), LASTING.values(), ids=LASTING)
def test_lasting_faults_end_in_a_sentence_that_names_the_shard(shards, fault, words):
    begun = time.monotonic()
    with serving(shards, fault) as server, pytest.raises(ShardError) as caught:
        keys(
            f"{server.address}/train-000000.tar",
            stall_timeout=STALL if "nothing came" in words else PATIENCE,
        )

    message = str(caught.value)
    assert re.search(words, message)
    assert message.startswith(f"the shard {server.address}/train-000000.tar cannot be read to its")
    assert "\n" not in message
    assert time.monotonic() - begun < 5


def test_nobody_listening_is_a_sentence():
    with pytest.raises(ShardError, match=r"Cannot connect to host 127.0.0.1:9 .* \(2 tries\)"):
        keys("http://127.0.0.1:9/a.tar")


def test_what_is_there_is_not_asked_for_again(shards):
    with serving(shards, faults.cut_again_and_again) as server:
        keys(f"{server.address}/train-000000.tar")

    # How many requests depends on how much of what came is lost with each cut connection.
    assert server.starts[0] == 0
    assert len(server.starts) >= 3
    assert all(before < after for before, after in pairwise(server.starts))


def test_secrets_of_an_address_are_not_told(shards):
    with serving(shards, status(404)) as server, pytest.raises(ShardError) as caught:
        keys(f"http://me:pass@127.0.0.1:{server.server_port}/a.tar?signature=secret")

    assert "pass" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.fixture
def small(make_shards):
    """Two shards of six images of a few bytes."""
    return make_shards(12, shard_images=6)


def stream(server, **options):
    urls = f"{server.address}/train-{{000000..000001}}.tar"
    return ShardStream(urls, **{"mixed": 8, "stall_timeout": PATIENCE, "tries": 2} | options)


def lose_the_second(handler, content, number):
    (status(500) if "1.tar" in handler.path else faults.good)(handler, content, number)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_trains_from_a_server(small, workers):
    with serving(small, once(faults.cut)) as server:
        data = module(
            stream(server), image_size=8, flip=False, num_workers=workers, start_method="fork"
        )
        batches = list(islice(data.train_dataloader(), 24))

    seen = {int(pixel) for batch in batches for pixel in batch["image"][:, 0, 0, 0]}
    assert seen == set(range(12))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_lost_shard_ends_training_in_a_sentence(small, workers):
    with serving(small, lose_the_second) as server:
        data = module(stream(server), image_size=8, num_workers=workers, start_method="fork")
        with pytest.raises(DataError, match=r"1.tar .* answers 500 .*set max_lost_shards"):
            list(islice(data.train_dataloader(), 24))


def test_lost_shards_are_left_out_up_to_a_number_and_counted_each_epoch(small, caplog):
    with serving(small, lose_the_second) as server:
        data = module(stream(server, max_lost_shards=1), image_size=8, flip=False)
        loader = data.train_dataloader()
        for _ in range(2):
            list(islice(loader, 4))
            data.trainer.lightning_module.images_seen += 16
        data.teardown("fit")

    assert caplog.text.count("left out shard 1 of at most 1") == 1
    assert caplog.text.count("left out in this epoch: 1 shard\n") == 2


def test_a_stream_whose_shards_are_all_lost_ends(small, monkeypatch):
    monkeypatch.setattr(unusable, "_NEVER", 4)
    with serving(small, status(500)) as server:
        data = module(stream(server, max_lost_shards=9), image_size=8)
        with pytest.raises(DataError, match=r"none of the last \d+ shards can be used.*500"):
            next(iter(data.train_dataloader()))
