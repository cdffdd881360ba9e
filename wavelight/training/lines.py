"""Lines between the processes of a job, beside PyTorch's collectives: short messages, and who is at the other end."""

import json
import os
import socket
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from weakref import WeakSet

_DIAL_SECONDS = 5.0
"""How long a host may take to answer a call; another try follows."""

_LONGEST_MESSAGE = 1 << 16

_own_lines: WeakSet[Connection] = WeakSet()
"""Lines of this process."""


class Member(NamedTuple):
    """A process of the job."""

    rank: int
    host: str
    pid: int

    def __str__(self) -> str:
        return f"rank {self.rank} ({self.host}, process {self.pid})"


class Peer(NamedTuple):
    """Another process, and the line to it."""

    member: Member
    line: Connection


def listen() -> socket.socket:
    """Listen at any free port of this host."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def answer(listener: socket.socket, seconds: float) -> Connection | None:
    """Return the line to the next caller, None if nobody calls for some seconds."""
    listener.settimeout(seconds)
    try:
        caller, _ = listener.accept()
    except OSError:
        return None
    return _line(caller)


def call(host: str, port: int) -> Connection | None:
    """Return a line to whoever listens there, None if nobody does, or the host has no name yet."""
    try:
        return _line(socket.create_connection((host, port), timeout=_DIAL_SECONDS))
    except OSError:
        return None


def _line(connected: socket.socket) -> Connection:
    connected.settimeout(None)
    line = Connection(connected.detach())
    _own_lines.add(line)
    return line


def _leave_to_parent() -> None:
    """Close the lines in a process that was forked, such as a worker of a data loader, which may outlive its parent."""
    for line in [*_own_lines]:
        line.close()


# The system closes a line as soon as no process holds it any more.
os.register_at_fork(after_in_child=_leave_to_parent)


def send(line: Connection, **message: Any) -> None:
    """Send a message.

    Raises:
        OSError: If the other end is closed.
    """
    line.send_bytes(json.dumps(message).encode())


def receive(line: Connection) -> dict[str, Any]:
    """Return the next message, for which it waits; an empty one if it is none of ours.

    Raises:
        OSError: If the other end is closed.
    """
    try:
        message = json.loads(line.recv_bytes(_LONGEST_MESSAGE))
    except EOFError as error:
        raise ConnectionResetError("the other end is closed") from error
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
