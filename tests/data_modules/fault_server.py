"""A server of files on this machine that has the faults of servers elsewhere."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Fault = Callable[["Handler", bytes, int], None]
"""Answers a request for a content, the number of which is given, from 0."""


class FaultServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path, fault: Fault) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.fault = fault
        self.requests: list[str] = []
        self.starts: list[int] = []
        """The byte from which on each file was asked for."""

        self.closed = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Say nothing of clients that leave."""


class Handler(BaseHTTPRequestHandler):
    server: FaultServer

    def do_HEAD(self):
        path = self.server.folder / self.path.lstrip("/")
        if not path.exists():
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.send_header("ETag", f'"{path.stat().st_mtime_ns}"')
        self.end_headers()

    def do_GET(self):
        self.server.requests.append(self.path)
        path = self.server.folder / self.path.partition("?")[0].lstrip("/")
        content = path.read_bytes() if path.is_file() else b""
        self.server.fault(self, content, self.server.requests.count(self.path) - 1)

    def log_message(self, *arguments):
        pass

    def start(self, content: bytes, announced: int | None = None) -> bytes:
        """Send the headers, and return what is to be sent of a content."""
        first = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
        start = int(first)
        self.server.starts.append(start)
        if start and start >= len(content):
            self.send_error(416)
            return b""
        self.send_response(206 if start else 200)
        rest = content[start:]
        self.send_header(
            "Content-Length", str(len(rest) if announced is None else announced - start)
        )
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        return rest

    def send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()

    def cut(self) -> None:
        """Close the connection hard."""
        self.connection.shutdown(socket.SHUT_RDWR)

    def stall(self) -> None:
        """Send nothing more, until the server closes."""
        self.server.closed.wait(30)


@contextmanager
def serving(folder: Path, fault: Fault) -> Iterator[FaultServer]:
    with FaultServer(folder, fault) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.closed.set()
            server.shutdown()


def good(handler, content, number):
    handler.send(handler.start(content))


def once(fault: Fault) -> Fault:
    """Have a fault the first time alone."""
    return lambda handler, content, number: (good if number else fault)(handler, content, number)


def cut(handler, content, number):
    rest = handler.start(content)
    handler.send(rest[: len(rest) // 2])
    handler.cut()


def cut_again_and_again(handler, content, number):
    """Give a third of the shard each time."""
    rest = handler.start(content)
    handler.send(rest[: len(content) // 3])
    if len(rest) > len(content) // 3:
        handler.cut()


def cut_from_the_start(handler, content, number):
    """Know no ranges, and cut the first two times."""
    del handler.headers["Range"]
    (cut if number < 2 else good)(handler, content, number)


def end_silently(handler, content, number):
    """End in the middle as if that were the end, without having said how long the shard is."""
    handler.send_response(200)
    handler.end_headers()
    handler.send(content[: len(content) // 2])


def stall(handler, content, number):
    """Give the first half, and whoever comes back for the second one nothing."""
    rest = handler.start(content)
    handler.send(rest[: max(0, len(rest) - len(content) // 2)])
    handler.stall()


def stall_before_answering(handler, content, number):
    handler.stall()


def trickle(handler, content, number):
    rest = handler.start(content)
    for position in range(1000):
        handler.send(rest[position : position + 1])
        if handler.server.closed.wait(0.05):
            return


def announce_too_much(handler, content, number):
    handler.send(handler.start(content, announced=len(content) + 1000))


def announce_too_little(handler, content, number):
    handler.send(handler.start(content, announced=len(content) // 2)[: len(content) // 2])


def redirect(handler, content, number):
    handler.send_response(302)
    handler.send_header("Location", f"/moved{handler.path}")
    handler.end_headers()


def redirect_once(handler, content, number):
    if handler.path.startswith("/moved"):
        content = (handler.server.folder / handler.path.removeprefix("/moved/")).read_bytes()
        good(handler, content, number)
    else:
        redirect(handler, content, number)


def page(handler, content, number):
    """Answer with a page, as portals of networks do."""
    handler.send(handler.start(b"<html>Please log in</html>" * 100))


def half(handler, content, number):
    handler.send(handler.start(content[: len(content) // 2]))


def damaged(handler, content, number):
    """Flip a bit in the header of the third file."""
    changed = bytearray(content)
    changed[content.index(b"ustar", 2 * 1024) + 20] ^= 1
    handler.send(handler.start(bytes(changed)))


def status(code: int) -> Fault:
    return lambda handler, content, number: handler.send_error(code)
