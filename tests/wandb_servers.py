"""Servers on this machine in the place of W&B's that are down, each in its own way."""

import socket
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextmanager
def silent():
    """Accept connections, and never answer."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield address(server.getsockname()[1])


@contextmanager
def refusing():
    """Name a port at which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    yield address(port)


@contextmanager
def answering(status, seconds=0.0):
    """Answer everything with a status, after so many seconds."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(seconds)
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield address(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def address(port):
    return f"http://127.0.0.1:{port}"
