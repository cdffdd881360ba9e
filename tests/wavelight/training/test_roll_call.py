"""The roll call: who comes is known, who does not come has a name, and strangers are sent away."""

import re
import socket
import threading
import time
from contextlib import suppress

import pytest
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from wavelight.support.errors import OptionError
from wavelight.training import roll_call
from wavelight.training.lines import receive, send
from wavelight.training.roll_call import Meeting, NeverCameError, call_the_roll


@pytest.fixture(autouse=True)
def one_roll_call(monkeypatch):
    """All ranks of a test live in this process, and count roll calls apart."""
    monkeypatch.setattr(roll_call, "_roll_calls", iter([0] * 99))
    monkeypatch.setattr(roll_call, "_MARGIN_SECONDS", 0.5)


def call_together(*ranks, patience=20.0, of=None):
    """Call the roll of some ranks, each in a thread, and return what came of each."""
    port = find_free_network_port()
    found = {}

    def one(rank):
        try:
            found[rank] = call_the_roll(
                Meeting("127.0.0.1", port, rank, of or len(ranks), patience)
            )
        except NeverCameError as error:
            found[rank] = str(error)

    threads = [threading.Thread(target=one, args=(rank,), daemon=True) for rank in ranks]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join(30)
    return found


def test_all_know_each_other_in_whatever_order_they_come():
    found = call_together(2, 0, 1)
    assert found[0].peers.keys() == {1, 2}
    assert found[2].peers[0].member == found[0].own
    send(found[0].peers[2].line, word="here")
    assert receive(found[2].peers[0].line) == {"word": "here"}
    found[1].peers[0].line.close()
    with pytest.raises(OSError, match="closed"):
        receive(found[0].peers[1].line)


def test_one_that_never_comes_is_named_by_all_who_came():
    found = call_together(0, 2, of=4, patience=0.6)
    for sentence in found.values():
        assert sentence.startswith("ranks 1, 3 of 4 never came to 127.0.0.1:")
        assert "waited 1 seconds" in sentence


def test_a_first_one_that_never_comes_is_named():
    found = call_together(1, of=2, patience=0.3)
    assert found[1].startswith("rank 0 of 2 never came")


def test_a_port_that_is_taken_is_refused():
    with socket.create_server(("", 0)) as taken:
        meeting = Meeting("127.0.0.1", taken.getsockname()[1], 0, 2, 1.0)
        with pytest.raises(OptionError, match=r"MASTER_PORT must be a free port .*already in use"):
            call_the_roll(meeting)


def test_strangers_are_sent_away(monkeypatch):
    stranger = []
    real = roll_call._who

    def with_a_stranger(line, token):
        return real(line, "another job's" if not stranger and not stranger.append(1) else token)

    monkeypatch.setattr(roll_call, "_who", with_a_stranger)
    found = call_together(0, 1, of=2, patience=0.5)
    assert found[0].startswith("rank 1 of 2 never came")
    assert re.match(r"rank 0 \(\S+, process \d+\) closed the line before all had come", found[1])


def test_a_rank_that_nobody_waits_for_is_not_counted():
    found = call_together(0, 5, of=2, patience=1.0)
    assert found[0].startswith("rank 1 of 2 never came")
    assert "closed the line before all had come" in found[5]


def test_an_address_that_is_none_of_this_host_is_refused(monkeypatch):
    monkeypatch.setattr(roll_call, "_torchrun_keeps_it", lambda meeting: True)
    meeting = Meeting("127.0.0.1", find_free_network_port(), 0, 2, 1.0)
    with pytest.raises(OptionError, match=r"MASTER_ADDR must be an address .* got 127.0.0.1, "):
        call_the_roll(meeting)


def test_what_answers_at_the_port_and_is_no_store_is_not_the_first_process():
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=answer_nonsense, args=(other,), daemon=True).start()
        meeting = Meeting("127.0.0.1", other.getsockname()[1], 1, 2, 1.0)
        with pytest.raises(NeverCameError, match="rank 0 of 2 never came"):
            call_the_roll(meeting)


def answer_nonsense(server):
    with suppress(OSError):
        while True:
            caller, _ = server.accept()
            caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            caller.close()


def test_a_name_that_is_not_there_yet_is_waited_for(monkeypatch):
    real = socket.create_connection
    calls = []

    def late(*arguments, **options):
        calls.append(1)
        if len(calls) < 3:
            raise socket.gaierror("Name or service not known")
        return real(*arguments, **options)

    monkeypatch.setattr(socket, "create_connection", late)
    assert call_together(0, 1)[0].peers.keys() == {1}
