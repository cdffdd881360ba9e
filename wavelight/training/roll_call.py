"""The roll call: processes of a job find each other before they train, so that one that never comes has a name."""

import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import count
from multiprocessing.connection import Connection
from typing import NamedTuple, TypeVar

import torch.distributed as dist

from wavelight.support.errors import OptionError
from wavelight.training.lines import Member, Peer, answer, call, listen, receive, send

Found = TypeVar("Found")

_RETRY_SECONDS = 0.25
"""A process that comes before the first one tries again so often."""

_HELLO_SECONDS = 5.0
"""A caller that has not said who it is after so long is none of this job."""

_MARGIN_SECONDS = 5.0
"""The others wait so much longer than the first process, which knows who is missing and tells them."""

_PORT_TAKEN = "EADDRINUSE"

_roll_calls = count()
"""The roll calls of this process, of which all processes of a job have had equally many."""


class NeverCameError(RuntimeError):
    """A process of the job did not come in time."""


class Meeting(NamedTuple):
    """Where a job meets, and who this process is in it.

    Attributes:
        host: The first process's, by the name that all know: MASTER_ADDR.
        port: Where PyTorch's processes meet, too: MASTER_PORT.
        rank: Of this process.
        ranks: The number of processes.
        patience: Seconds to wait for all.
    """

    host: str
    port: int
    rank: int
    ranks: int
    patience: float


class Roll(NamedTuple):
    """Who came.

    Attributes:
        own: This process.
        peers: Whom it has a line to, by rank: the first process all others, each of the others the first one.
        store: What the first process keeps open, for PyTorch's processes meet in it, too.
    """

    own: Member
    peers: dict[int, Peer]
    store: dist.Store | None


class _First(NamedTuple):
    """The first process, the port at which it listens, and the word by which it knows its job."""

    member: Member
    port: int
    token: str


def call_the_roll(meeting: Meeting) -> Roll:
    """Wait for all processes of the job; collective.

    The first process says in PyTorch's store, at the address that all know, where it listens, and the others call it
    there. The system closes such a line as soon as the process at its end dies.

    Args:
        meeting: Where, who, and how long.

    Raises:
        NeverCameError: If one does not come, in one sentence with its rank.
        OptionError: If the first process cannot listen at the port.
    """
    own = Member(meeting.rank, socket.gethostname(), os.getpid())
    key = f"wavelight/roll/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{next(_roll_calls)}"
    if meeting.rank:
        return Roll(own, {0: _report(meeting, own, key)}, None)
    with listen() as listener:
        first = _First(own, listener.getsockname()[1], secrets.token_hex(8))
        store = _open(meeting)
        store.set(key, json.dumps(first))
        return Roll(own, _gather(listener, meeting, first.token), store)


def _open(meeting: Meeting) -> dist.TCPStore:
    """Return the store, which the first process opens, unless torchrun has."""
    try:
        return _store(meeting, keeps=not _torchrun_keeps_it(meeting))
    except dist.DistError as error:
        # Else it could listen, and cannot reach itself there.
        option, asked = (
            ("MASTER_PORT", "a free port of the first host")
            if _PORT_TAKEN in str(error)
            else ("MASTER_ADDR", "an address of the first host by which all reach it")
        )
        given = meeting.port if option == "MASTER_PORT" else meeting.host
        raise OptionError(
            f"{option} must be {asked}, got {given}, at which it cannot open the job's meeting place "
            f"({str(error).splitlines()[0]}): end what holds the port, or give another"
        ) from error


def _torchrun_keeps_it(meeting: Meeting) -> bool:
    """Return whether torchrun has opened the store, as it tells PyTorch in the environment."""
    place = (os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT"))
    told = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return told and place == (meeting.host, str(meeting.port))


def _store(meeting: Meeting, keeps: bool) -> dist.TCPStore:
    return dist.TCPStore(
        meeting.host,
        meeting.port,
        is_master=keeps,
        timeout=timedelta(seconds=max(1.0, meeting.patience)),
        wait_for_workers=False,
        # PyTorch's own of this process then shares it.
        multi_tenant=True,
    )


def _gather(listener: socket.socket, meeting: Meeting, token: str) -> dict[int, Peer]:
    peers = dict[int, Peer]()
    until = time.monotonic() + meeting.patience
    while len(peers) + 1 < meeting.ranks and time.monotonic() < until:
        line = answer(listener, _RETRY_SECONDS)
        member = _who(line, token) if line else None
        # A host that counts other processes than the first one has ranks that nobody waits for.
        if line and member and member.rank in range(1, meeting.ranks):
            peers[member.rank] = Peer(member, line)
    missing = sorted({*range(1, meeting.ranks)} - {*peers})
    for peer in peers.values():
        with suppress(OSError):
            send(peer.line, missing=missing)
    if missing:
        raise NeverCameError(_never_came(missing, meeting))
    return peers


def _who(line: Connection, token: str) -> Member | None:
    """Return who calls; None is a stranger, such as one who looks for open ports."""
    with suppress(OSError):
        hello = receive(line) if line.poll(_HELLO_SECONDS) else {}
        if hello.get("token") == token:
            return Member(*hello["member"])
    line.close()
    return None


def _report(meeting: Meeting, own: Member, key: str) -> Peer:
    """Tell the first process that this one is there, and wait until it says that all are."""
    until = time.monotonic() + meeting.patience + _MARGIN_SECONDS
    first = _find_first(meeting, key, until)
    line = first and _in_time(lambda: call(meeting.host, first.port), until)
    missing = [0]
    if first and line:
        try:
            send(line, token=first.token, member=own)
            if line.poll(max(0.0, until - time.monotonic())):
                missing = receive(line).get("missing", missing)
        except OSError:
            raise NeverCameError(
                f"{first.member} closed the line before all had come: its own output says why"
            ) from None
        if not missing:
            return Peer(first.member, line)
    raise NeverCameError(_never_came(missing, meeting))


def _find_first(meeting: Meeting, key: str, until: float) -> _First | None:
    # PyTorch's own tries print traces of C++ where nobody answers yet.
    probe = _in_time(lambda: call(meeting.host, meeting.port), until)
    if probe is None:
        return None
    probe.close()
    # Whatever else answers there is not the job's store, or is gone again.
    with suppress(dist.DistError):
        store = _store(meeting, keeps=False)
        if _in_time(lambda: store.check([key]) or None, until):
            member, port, token = json.loads(store.get(key))
            return _First(Member(*member), port, token)
    return None


def _in_time(attempt: Callable[[], Found | None], until: float) -> Found | None:
    """Try until something is found, or the time is over."""
    while (found := attempt()) is None and time.monotonic() < until:
        time.sleep(_RETRY_SECONDS)
    return found


def _never_came(missing: list[int], meeting: Meeting) -> str:
    ranks = f"rank{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
    return (
        f"{ranks} of {meeting.ranks} never came to {meeting.host}:{meeting.port}, where the others waited "
        f"{meeting.patience:.0f} seconds: look at the output and the host of each, and at trainer.devices and "
        "trainer.num_nodes; where hosts start slowly, give trainer.strategy a longer timeout, as "
        "experiments/parts/cluster.yaml does"
    )
