import random

import lmdb
import pytest

from data_modules import DataError
from data_modules.lmdb_file import LmdbFile


def write(path, seed, entries=400, rounds=3):
    """Write, overwrite and delete entries of all sizes, over several transactions."""
    rng = random.Random(seed)
    with lmdb.open(str(path), map_size=2**26, subdir=False, lock=False) as environment:
        for _ in range(rounds):
            with environment.begin(write=True) as transaction:
                for _ in range(entries):
                    key = str(rng.randrange(entries)).encode() * rng.randint(1, 3)
                    if rng.random() < 0.2:
                        transaction.delete(key)
                    else:
                        transaction.put(key, rng.randbytes(int(10 ** rng.uniform(0, 4.5))))
    return path


def by_the_library(path):
    with (
        lmdb.open(str(path), subdir=False, readonly=True, lock=False) as environment,
        environment.begin() as transaction,
    ):
        return list(transaction.cursor())


def read(path):
    file = LmdbFile(path)
    return [(key, file.read(extent)) for key, extent in file.entries()]


@pytest.mark.parametrize("seed", range(5))
def test_it_reads_what_the_library_reads(tmp_path, seed):
    path = write(tmp_path / "l.mdb", seed)

    assert read(path) == by_the_library(path)


def test_a_database_of_several_levels_and_one_without_entries(tmp_path):
    path = write(tmp_path / "many.mdb", 0, entries=5000, rounds=1)
    with lmdb.open(str(path), subdir=False, readonly=True, lock=False) as environment:
        assert environment.stat()["depth"] >= 3
    assert read(path) == by_the_library(path)

    assert read(write(tmp_path / "none.mdb", 0, entries=0)) == []


def test_databases_in_it_are_refused(tmp_path):
    path = tmp_path / "l.mdb"
    with lmdb.open(str(path), subdir=False, lock=False, max_dbs=1) as environment:
        environment.open_db(b"inside")

    with pytest.raises(DataError, match=r"l.mdb must hold one plain value a key, got databases"):
        read(path)


def test_any_damage_is_read_or_told_and_kills_nothing(tmp_path):
    path = write(tmp_path / "l.mdb", 0, entries=60)
    whole, rng, told = path.read_bytes(), random.Random(1), 0
    for _ in range(100):
        content = bytearray(whole)
        page = rng.randrange(0, len(content), 4096)
        for _ in range(3):
            content[page + rng.choice((rng.randrange(64), rng.randrange(4096)))] ^= (
                1 << rng.randrange(8)
            )
        path.write_bytes(content[: rng.choice((len(content), rng.randrange(len(content))))])
        try:
            read(path)
        except DataError as error:
            told += str(path) in str(error)

    assert told > 30
