"""What several tests share: a web server with the habits of real ones."""

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from samnb.base import fetch


class Server(ThreadingHTTPServer):
    """Serves `payload` at every path; `drops` answers break off after `drop_after` bytes."""

    payload = b""
    drops = 0
    drop_after = 250_000
    ranges = True  # False: ignores them and sends everything
    shift = 0  # bytes by which it misses the range asked for
    named = True  # whether a part of the file says which
    status = 200  # of the next `refusals` answers, if not a success
    refusals = 1_000_000
    delay = 0.0  # seconds before it answers

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []  # Range header of each request
        self.sent = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/set.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        time.sleep(server.delay)
        if server.status != 200 and server.refusals:
            server.refusals -= 1
            self.send_error(server.status)
            return
        start = 0
        if asked and server.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.payload):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.payload)}")
                self.end_headers()
                return
            start += server.shift
            self.send_response(206)
            last = len(server.payload) - 1
            if server.named:
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(server.payload)}")
        else:
            self.send_response(200)
        rest = server.payload[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if server.drops:
            server.drops -= 1
            rest = rest[: server.drop_after]
        server.sent += len(rest)  # before it is: a client that has it all may ask for the count
        with suppress(ConnectionError):  # who finds no room for it hangs up
            self.wfile.write(rest)

    def log_message(self, *rest):
        pass


@pytest.fixture
def server(monkeypatch):
    """A running server; whoever fetches from it does not pause between two tries."""
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
