"""Servers on this machine in the place of W&B's: some are down, each in its own way, and one takes views."""

import json
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

    def answer(asked):
        time.sleep(seconds)
        return status, b"{}"

    with _served(answer) as url:
        yield url


@contextmanager
def taking_views(refusal=None):
    """Know every key, and take views of projects, or refuse them with a message.

    Yields:
        The address, and a list to which the variables of each view are added.
    """
    views = []
    viewer = {"id": "1", "username": "me", "entity": "me", "flags": "{}", "teams": {"edges": []}}

    def answer(asked):
        if b"upsertView" not in asked:
            return 200, json.dumps({"data": {"viewer": viewer}}).encode()
        if refusal is not None:
            return 200, json.dumps({"data": None, "errors": [{"message": refusal}]}).encode()
        views.append(json.loads(asked)["variables"])
        saved = {"view": {"id": "2", "name": "nw-abc-v"}, "inserted": True}
        return 200, json.dumps({"data": {"upsertView": saved}}).encode()

    with _served(answer) as url:
        yield url, views


@contextmanager
def _served(answer):
    """Answer everything with the status and the text that a function returns for what was asked."""

    class Handler(BaseHTTPRequestHandler):
        def reply(self):
            status, text = answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = reply  # noqa: N815

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
