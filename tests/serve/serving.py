"""A server in a thread of the test's process, with real worker processes, and a client that speaks HTTP to it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from d2f import Chain, load_chain
from d2f.serve.server import Server
from d2f.serve.settings import ServeSettings, limits_of

JPEG = {"content-type": "image/jpeg"}
BOUNDARY = "a-line-of-this-test"


@dataclass(frozen=True)
class Answer:
    """A server's answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.json["rows"]

    @property
    def code(self) -> str:
        return self.json["error"]["code"]


@dataclass(frozen=True)
class Running:
    """A server that runs, and what asks it."""

    server: Server

    @property
    def port(self) -> int:
        return urlsplit(self.server.address).port or 0

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and read its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        finally:
            connection.close()

    def judge(self, data: bytes, name: str = "a.png", **headers: str) -> Answer:
        """Send one picture as bytes."""
        return self.ask("POST", f"/v1/judge?name={name}", data, {"content-type": "image/png", **headers})

    def judge_all(self, pictures: Sequence[tuple[str, bytes]]) -> Answer:
        """Send pictures as a form."""
        return self.ask("POST", "/v1/judge", form(pictures), {"content-type": FORM})

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """Open a connection that nothing is sent on yet."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            yield connection


FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(pictures: Sequence[tuple[str, bytes]]) -> bytes:
    """Return a form of files."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in pictures
    ]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def everything(connection: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    found = b""
    with suppress(ConnectionError):
        while more := connection.recv(65536):
            found += more
    return found


@contextmanager
def serving(
    chain: str | Path | Chain = "fast", limits: Mapping[str, float] | None = None, **settings: Any
) -> Iterator[Running]:
    """Have a server run; it must end by itself once it is told to stop."""
    ready = threading.Event()
    told = {"port": 0, "workers": 1, "limits": limits_of(limits or {}), **settings}
    server = Server(chain if isinstance(chain, Chain) else load_chain(chain), ServeSettings(**told), ready.set)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            server.run()
        except BaseException as error:
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=run, name="server")
    thread.start()
    try:
        assert ready.wait(60)
        if failed:
            raise failed[0]
        yield Running(server)
    finally:
        server.stop()
        thread.join(60)
    assert not thread.is_alive(), "the server did not end"
    assert not failed, failed
