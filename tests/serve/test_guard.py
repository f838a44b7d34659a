"""Who may ask, how much, and how slowly: the guard alone, before an application that only reads."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from d2f.api.errors import D2FError
from d2f.serve.guard import COOKIE, SECURITY_HEADERS, AnswerUnread, Guard, session_cookie
from d2f.serve.settings import ServeSettings, limits_of

TOKEN = "a token of a test, long"
HOME = ("host", "127.0.0.1:8000")


async def reading(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and answer how long it is."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


class Asked:
    """A guard, and the answer to one request."""

    def __init__(self, app: Any = reading, limits: dict[str, float] | None = None, **settings: Any) -> None:
        self.guard = Guard(app, ServeSettings(limits=limits_of(limits or {}), **settings))

    async def ask(
        self,
        *headers: tuple[str, str],
        method: str = "GET",
        path: str = "/v1/chain",
        chunks: Sequence[bytes] = (b"",),
        pause: float = 0.0,
    ) -> Asked:
        left = list(chunks)
        self.body = b""

        async def receive() -> Any:
            await asyncio.sleep(pause)
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                self.body += message["body"]

        encoded = [(name.encode(), value.encode()) for name, value in headers]
        scope = {"type": "http", "method": method, "path": path, "headers": encoded}
        await self.guard(scope, receive, send)
        return self

    def __call__(self, *headers: tuple[str, str], **more: Any) -> Asked:
        return asyncio.run(self.ask(*headers, **more))

    @property
    def code(self) -> str:
        return json.loads(self.body)["error"]["code"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "10.1.2.3", "d2f.example"]
)
def test_its_own_names_and_addresses_are_answered(host: str) -> None:
    assert Asked(allow_host=("d2f.example",))(("host", host)).status == 200


@pytest.mark.parametrize("host", ["", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"])
def test_a_name_that_was_made_to_lead_here_is_refused(host: str) -> None:
    asked = Asked()(("host", host))
    assert (asked.status, asked.code) == (403, "D2F701")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 200),
        ("https://127.0.0.1:8000", 200),
        ("http://127.0.0.1:8001", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("chrome-extension://other", 403),
        ("chrome-extension://mine", 200),
    ],
)
def test_another_origin_may_not_ask_unless_it_is_named(origin: str, status: int) -> None:
    asked = Asked(allow_origin=("chrome-extension://mine",))(HOME, ("origin", origin), method="POST")
    assert asked.status == status
    assert ("access-control-allow-origin" in asked.headers) == (origin == "chrome-extension://mine")


def test_names_and_origins_are_allowed_however_they_are_spelled() -> None:
    asked = Asked(allow_host=("MyServer.Local/",), allow_origin=("https://Example.com/",))
    assert asked(("host", "myserver.local:8000"), ("origin", "https://example.com")).status == 200


@pytest.mark.parametrize("origin", ["https://example.com/page", "example.com", "https://", "*"])
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(D2FError, match="is no origin") as refused:
        ServeSettings(allow_origin=(origin,))
    assert refused.value.problems[0].code == "D2F001"


def test_a_preflight_is_answered_for_a_named_origin_alone() -> None:
    asked = Asked(allow_origin=("https://desk.example",), token=TOKEN)
    assert asked(HOME, ("origin", "https://desk.example"), method="OPTIONS").status == 204
    assert "authorization" in asked.headers["access-control-allow-headers"]
    assert asked(HOME, ("origin", "https://other.example"), method="OPTIONS").status == 403


def test_every_answer_has_the_security_headers() -> None:
    for asked in (Asked()(HOME), Asked()(("host", "evil.example"))):
        assert set(dict(SECURITY_HEADERS)) <= set(asked.headers)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (("authorization", f"Bearer {TOKEN}"), 200),
        (("authorization", f"bearer {TOKEN}"), 200),
        (("authorization", "Bearer another"), 401),
        (("authorization", f"Basic {TOKEN}"), 401),
        (("cookie", f"{COOKIE}={session_cookie(TOKEN, time.time())}"), 200),
        (("cookie", f"{COOKIE}={session_cookie(TOKEN, 0)}"), 401),
        (("cookie", f"{COOKIE}={session_cookie('another', time.time())}"), 401),
        (("cookie", f"{COOKIE}=9999999999."), 401),
        (("cookie", "no cookie"), 401),
    ],
)
def test_a_token_or_its_cookie_is_needed(header: tuple[str, str], status: int) -> None:
    assert Asked(token=TOKEN)(HOME, header).status == status


def test_without_the_token_only_health_and_signing_in_are_answered() -> None:
    asked = Asked(token=TOKEN)
    assert [asked(HOME, path=path).status for path in ("/healthz", "/readyz", "/signin", "/app.css")] == [200] * 4
    assert [asked(HOME, path=path).status for path in ("/metrics", "/app.js", "/v1/chain")] == [401] * 3
    assert (asked(HOME, path="/").status, asked.headers["location"]) == (303, "/signin")
    assert TOKEN not in session_cookie(TOKEN, 0)


def test_a_header_with_two_meanings_is_refused() -> None:
    assert Asked()(HOME, HOME).status == 400


def test_a_body_is_bounded_as_it_is_stated_and_as_it_comes() -> None:
    asked = Asked(limits={"request_bytes": 10})
    assert asked(HOME, ("content-length", "11"), method="POST").status == 413
    assert asked(HOME, method="POST", chunks=[b"123456", b"123456"]).status == 413
    assert asked(HOME, method="POST", chunks=[b"12345", b"12345"]).status == 200
    assert asked(HOME, ("content-length", "-1"), method="POST").status == 400


def test_the_sign_in_form_which_anybody_may_send_is_short() -> None:
    asked = Asked(token=TOKEN)
    assert asked(HOME, method="POST", path="/signin", chunks=[b"token=", b"a" * 100]).status == 200
    assert asked(HOME, method="POST", path="/signin", chunks=[b"a=b&" * 1024, b"token=a"]).status == 413


def test_a_slow_body_is_given_up() -> None:
    asked = Asked(limits={"idle_seconds": 0.05})
    assert (asked(HOME, method="POST", pause=1.0).status, asked.code) == (408, "D2F707")
    asked = Asked(limits={"idle_seconds": 1.0, "upload_seconds": 0.05})
    assert asked(HOME, method="POST", chunks=[b"1"] * 20, pause=0.02).status == 408


def test_bytes_that_are_held_and_requests_at_once_are_bounded_and_given_back() -> None:
    asked = Asked(limits={"requests": 2, "held_bytes": 10})

    async def at_once(size: int, count: int) -> list[int]:
        others = [Asked() for _ in range(count)]
        for other in others:
            other.guard = asked.guard
        await asyncio.gather(*(one.ask(HOME, method="POST", chunks=[bytes(size), b""], pause=0.02) for one in others))
        return sorted(one.status for one in others)

    assert asyncio.run(at_once(3, 3)) == [200, 200, 429]
    assert asyncio.run(at_once(6, 2)) == [200, 503]
    assert asyncio.run(at_once(6, 1)) == [200]


def test_a_client_that_does_not_read_is_given_up() -> None:
    async def unread(message: Any) -> None:
        await asyncio.sleep(10)

    async def ask() -> None:
        guard = Guard(reading, ServeSettings(limits=limits_of({"idle_seconds": 0.05})))
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
        await guard(scope, lambda: asyncio.sleep(0, {"type": "http.request"}), unread)

    with pytest.raises(AnswerUnread):
        asyncio.run(ask())


def test_while_it_ends_nothing_is_begun() -> None:
    asked = Asked()
    asked.guard.draining = True
    assert asked(HOME, method="POST").status == 503
    assert asked(HOME).status == 200


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "0.0.0.0"}, "--host 0.0.0.0 lets other machines ask, and there is no token"),
        ({"host": "::"}, "--host :: lets other machines ask"),
        ({"token": "short"}, "less than 16 characters"),
    ],
)
def test_a_server_is_not_opened_by_mistake(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(D2FError, match=words):
        ServeSettings(**settings).check()
    ServeSettings(host="0.0.0.0", insecure=True).check()
    ServeSettings(host="0.0.0.0", token=TOKEN).check()


def test_a_limit_is_known_and_in_range() -> None:
    with pytest.raises(D2FError, match="did you mean 'pixels'"):
        limits_of({"pixel": 1})
    with pytest.raises(D2FError, match="limit files: "):
        limits_of({"files": 0})
