"""A file server on this machine, with the manners and the faults of real ones."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Serves `files` by path.

    Attributes
    ----------
    asked : list of (path, Range)
        Every request, in order.
    ranges : bool
        Whether it can go on in the middle of a file.
    lengths : bool
        Whether it says how long a file is.
    breaks : list of int
        After how many bytes to break the next answers.
    errors : list of int
        Codes of the next answers.
    pause : float
        Seconds before an answer's body.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.ranges, self.lengths, self.pause = True, True, 0.0
        self.breaks: list[int] = []
        self.errors: list[int] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.asked.append((self.path, wanted))
        if self.server.errors:
            self._empty(self.server.errors.pop(0))
        elif self.path in self.server.moved:
            self._empty(302, Location=self.server.moved[self.path])
        elif self.path not in self.server.files:
            self._empty(404)
        else:
            self._file(self.server.files[self.path], wanted)

    def do_HEAD(self) -> None:
        """Answer as the Hugging Face hub does of a file at a revision."""
        data = self.server.files.get(self.path)
        if data is None:
            self._empty(404, **{"X-Error-Code": "EntryNotFound"})
            return
        self.send_response(200)
        digest = hashlib.sha256(data).hexdigest()
        for name, value in {"ETag": f'"{digest}"', "X-Repo-Commit": "c" * 40, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()

    def _empty(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _file(self, data: bytes, wanted: str) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", wanted)
        start = int(found[1]) if found and self.server.ranges else 0
        if start and start >= len(data):
            self._empty(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if self.server.lengths:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        time.sleep(self.server.pause)
        cut = self.server.breaks.pop(0) if self.server.breaks else None
        self.wfile.write(data[start:] if cut is None else data[start : start + cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
