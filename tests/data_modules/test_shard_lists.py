import sys

import pytest

from data_modules import DataError, ShardStream
from data_modules.shard_lists import expand
from tests.data_modules import fault_server as faults
from tests.data_modules.fault_server import serving


def touch(folder, *names):
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        (folder / name).touch()
    return [str(folder / name) for name in names]


def test_braces_and_stars_stand_for_shards(tmp_path):
    files = touch(tmp_path / "data", "a-0.tar", "a-1.tar", "a-2.tar")

    assert expand(f"{tmp_path}/data/a-{{0..2}}.tar") == files
    assert expand(f"{tmp_path}/d*/a-*.tar") == files
    assert expand(f"{tmp_path}/data/a-{{0,2}}.tar") == [files[0], files[2]]
    assert expand(f"file://{files[1]}") == [f"file://{files[1]}"]
    assert ShardStream([files[2], f"{tmp_path}/data/a-{{0..1}}.tar"]).shards() == [
        files[2],
        *files[:2],
    ]
    assert expand("https://host/a-{00..01}.tar") == [
        "https://host/a-00.tar",
        "https://host/a-01.tar",
    ]


@pytest.mark.parametrize("name", ["été [2] 100%", "{1}", "a::b"])
def test_odd_names_of_folders_are_no_patterns(tmp_path, name):
    files = touch(tmp_path / name, "a-0.tar", "a-1.tar")

    assert expand(files[0]) == [files[0]]
    if "{" not in name and "::" not in name:
        assert expand(f"{tmp_path / name}/a-*.tar") == files
        assert expand(f"{tmp_path / name}/a-{{0..1}}.tar") == files


def test_a_store_is_listed(tmp_path):
    import fsspec

    files = fsspec.filesystem("memory")
    for name in ("b", "a"):
        files.pipe_file(f"/bucket/{name}.tar", b"")

    assert expand("memory://bucket/*.tar") == ["memory:///bucket/a.tar", "memory:///bucket/b.tar"]


def page(handler, content, number):
    links = "".join(f'<a href="{name}.tar">{name}</a>' for name in "ba")
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.end_headers()
    handler.send(links.encode())


def test_a_server_is_listed_by_its_page(tmp_path):
    with serving(tmp_path, page) as server:
        assert expand(f"{server.address}/*.tar") == [f"{server.address}/{n}.tar" for n in "ab"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/nowhere/*.tar", r"urls must name shards, got /nowhere/\*.tar, which nothing fits"),
        ("memory://nowhere/*.tar", "which nothing fits"),
        ("a-{0..999999999999}.tar", "urls must stand for at most 1,000,000 shards"),
        ("a-{0..9999}-{0..9999}.tar", "urls must stand for at most 1,000,000 shards"),
        ("a-{0..9.tar", "urls has an address that cannot be expanded: Unbalanced braces"),
        ("ldap://host/a.tar", "urls must begin with https://, s3://, .* got ldap://"),
    ],
)
def test_addresses_that_lead_nowhere_are_refused_in_words(address, words):
    with pytest.raises(DataError, match=words):
        expand(address)


@pytest.mark.parametrize(
    ("protocol", "package", "extra"),
    [("s3", "s3fs", "s3"), ("gs", "gcsfs", "gs"), ("hf", "huggingface_hub", "hf")],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, protocol, package, extra):
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(
        DataError,
        match=rf"begin with {protocol}:// need another package: pip install 'wavelight\[{extra}\]'",
    ):
        expand(f"{protocol}://bucket/a.tar")


def test_a_server_that_cannot_be_listed_is_told(tmp_path):
    with (
        serving(tmp_path, faults.status(500)) as server,
        pytest.raises(DataError, match=r"/\*.tar cannot be listed: the server answers 500"),
    ):
        expand(f"{server.address}/*.tar")
