"""W&B that is down is known within seconds, whatever is wrong with it."""

import time
from types import SimpleNamespace

import pytest

from tests.wandb_servers import answering, refusing, silent
from wavelight.support.wandb_server import (
    patience,
    why_no_server,
    why_offline,
    why_unreachable,
)

PATIENCE = 0.3


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (silent(), "127.0.0.1 has not answered within 0.3 seconds"),
        (refusing(), "127.0.0.1 cannot be reached"),
        (answering(500), "127.0.0.1 answers 500"),
        (answering(503), "127.0.0.1 answers 503"),
        (answering(200, seconds=2.0), "127.0.0.1 has not answered"),
    ],
    ids=["silent", "refusing", "500", "503", "slow"],
)
def test_a_server_that_is_down_is_told_from_others(server, why):
    begun = time.monotonic()
    with server as url:
        assert why in why_unreachable(url, PATIENCE)
        assert time.monotonic() - begun < PATIENCE + 1


@pytest.mark.parametrize("status", [200, 400, 401, 404])
def test_a_server_that_answers_is_up(status):
    with answering(status) as url:
        assert why_unreachable(url, 5.0) is None


def test_a_name_server_that_is_down_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(
        "wavelight.support.wandb_server.urlopen", lambda *_, **__: time.sleep(10 * PATIENCE)
    )
    begun = time.monotonic()
    assert "wandb.test has not answered" in why_unreachable("https://wandb.test", PATIENCE)
    assert time.monotonic() - begun < PATIENCE + 1


def test_an_address_that_is_none_cannot_be_reached():
    assert "cannot be reached" in why_unreachable("wandb")


@pytest.mark.parametrize("mode", [None, "online"])
def test_the_server_is_asked_whether_online_was_chosen_or_not(monkeypatch, mode):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    if mode is None:
        monkeypatch.delenv("WANDB_MODE", raising=False)
    else:
        monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setattr("wavelight.support.wandb_server.why_unreachable", lambda url: "it is down")
    assert why_offline() == "it is down"


@pytest.mark.parametrize("mode", ["offline", "disabled", "dryrun"])
def test_another_mode_that_was_chosen_is_left_alone(monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    assert why_offline() is None


def test_the_environment_may_choose_another_patience(monkeypatch):
    monkeypatch.delenv("WANDB_INIT_TIMEOUT", raising=False)
    assert 0 < patience()["init_timeout"] < 90
    assert patience()["finish_timeout"] > 0
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "7")
    assert "init_timeout" not in patience()


@pytest.mark.parametrize(
    ("machine", "why"), [("wandb.test", "it is down"), ("other.test", "no API key")]
)
def test_a_key_is_found_where_login_puts_it(tmp_path, monkeypatch, machine, why):
    (tmp_path / "netrc").write_text(f"machine {machine}\n  login user\n  password {'0' * 40}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    settings = SimpleNamespace(settings=SimpleNamespace(base_url="https://wandb.test"))
    monkeypatch.setattr("wandb.sdk.wandb_setup.singleton", lambda: settings)
    monkeypatch.setattr("wavelight.support.wandb_server.why_unreachable", lambda url: "it is down")
    assert why in why_no_server()
