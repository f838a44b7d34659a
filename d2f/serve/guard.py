"""What stands before every route: who may ask (Host, Origin, token), how much and how slowly, security headers.

An ASGI application around another one. It refuses before a body is read, and counts the body while it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.rows import encodable
from d2f.serve.settings import ServeSettings

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Iterable[tuple[str, str]]

COOKIE = "d2f_session"
SESSION_SECONDS = 30 * 24 * 3600
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/signin", "/app.css"})
"""Paths that are answered without a token."""

ARCHIVES = "/v1/jobs"
"""The path whose body goes to the disk, so that it may be larger than memory."""

SIGN_IN, SIGN_IN_BYTES = "/signin", 4096
"""The path of a form that is read before anybody has shown a token, and the bytes that it may have."""

JOB_UPLOADS = 10
"""How many times `Limits.upload_seconds` an archive may take."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    ("content-security-policy", PAGE_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),  # with "no-referrer", browsers send the sign-in form with the origin "null"
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ("cache-control", "no-store"),
)


class Refused(D2FError):
    """A request that is not answered as asked: HTTP status, code, message and notes, more headers of the answer."""

    def __init__(self, status: int, code: str, message: str, *notes: str, headers: Headers = ()) -> None:
        self.status, self.headers = status, tuple(headers)
        super().__init__(Problem(code, message, notes=notes), Exit.SOME_FAILED)


def error_body(error: D2FError) -> bytes:
    """Return an error as the JSON that every refusal has."""
    first = error.problems[0]
    return json_bytes({"error": {"code": first.code, "message": first.message, "notes": list(first.notes)}})


def json_bytes(data: Any) -> bytes:
    """Return data as JSON; what a client or a file name gave need not be encodable."""
    return encodable(json.dumps(data, ensure_ascii=False)).encode()


def about_to_end() -> Refused:
    """Return that nothing new is begun."""
    return Refused(503, "D2F706", "the server is about to end", headers=[("retry-after", "5")])


def session_cookie(token: str, now: float) -> str:
    """Return the value of a cookie that stands for a token for `SESSION_SECONDS`; the token is not in it."""
    ends = str(int(now) + SESSION_SECONDS)
    return f"{ends}.{_signature(token, ends)}"


def is_session(token: str, value: str, now: float) -> bool:
    """Whether a cookie's value was made of this token and has not ended."""
    ends, _, signature = value.partition(".")
    genuine = hmac.compare_digest(signature.encode(), _signature(token, ends).encode())
    return genuine and ends.isdigit() and int(ends) > now


def is_token(token: str, given: str) -> bool:
    """Whether a token is the right one; takes as long whether it is or not."""
    one, other = (hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (token, given))
    return hmac.compare_digest(one, other)


def _signature(token: str, ends: str) -> str:
    return hmac.new(token.encode(), f"d2f session {ends}".encode("utf-8", "replace"), "sha256").hexdigest()


class AnswerUnread(Exception):
    """A client does not read its answer; its connection is closed."""


class Guard:
    """Lets through to `app` what `settings` allow; `answered` is called with path, status and seconds of each request.

    `connections` tells how many are open. Once it is `draining`, what runs is finished, and nothing new is begun.
    """

    def __init__(
        self,
        app: Application,
        settings: ServeSettings,
        answered: Callable[[str, int, float], None] = lambda *_: None,
        connections: Callable[[], int] = lambda: 0,
    ) -> None:
        self._app, self._settings, self._limits = app, settings, settings.limits
        self._answered, self._connections = answered, connections
        self._token = settings.token.get_secret_value() if settings.token is not None else None
        self._requests = self._held = 0
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer, begun = _Answer(send, self._limits.idle_seconds), time.monotonic()
        try:
            if (count := self._connections()) > self._limits.connections:
                again = [("retry-after", "1"), ("connection", "close")]
                raise Refused(503, "D2F706", f"{count} connections are open", "ask again in a moment", headers=again)
            headers = _headers(scope)
            self._check_host(headers)
            origin = self._origin(headers)
            if origin:
                answer.more = [("access-control-allow-origin", origin), ("vary", "origin")]
            if origin and scope["method"] == "OPTIONS":
                await answer.preflight()
                return
            self._check_token(scope["path"], headers)
            await self._pass_on(scope, headers, receive, answer)
        except Refused as error:
            await answer.refuse(error)
        finally:
            self._answered(scope["path"], answer.status, time.monotonic() - begun)

    async def _pass_on(self, scope: Scope, headers: dict[str, str], receive: Receive, answer: _Answer) -> None:
        """Have the application answer; a request with a body counts among those that are worked on."""
        if scope["method"] != "POST":
            await self._app(scope, receive, answer)
            return
        if self.draining:
            raise about_to_end()
        if self._requests >= self._limits.requests:
            words = f"{self._requests} requests are worked on already"
            raise Refused(429, "D2F705", words, "ask again in a moment", headers=[("retry-after", "1")])
        body = _Body(receive, self._limits.idle_seconds, *self._allowed(scope["path"]), headers)
        self._requests += 1
        try:
            await self._app(scope, lambda: self._counted(scope, body), answer)
        finally:
            self._requests -= 1
            self._held -= body.held

    def _allowed(self, path: str) -> tuple[int, float]:
        """Return the bytes that a body may have, and the seconds that it may take."""
        if path == ARCHIVES:
            return self._limits.job_bytes, JOB_UPLOADS * self._limits.upload_seconds
        if path == SIGN_IN:
            return SIGN_IN_BYTES, self._limits.idle_seconds
        return self._limits.request_bytes, self._limits.upload_seconds

    async def _counted(self, scope: Scope, body: _Body) -> Message:
        message = await body.receive()
        size = len(message.get("body", b""))
        if scope["path"] != ARCHIVES and size:
            if self._held + size > self._limits.held_bytes:
                words = "the server holds as many bytes of uploads as it may"
                raise Refused(503, "D2F706", words, headers=[("retry-after", "2"), ("connection", "close")])
            self._held += size
            body.held += size
        return message

    def _check_host(self, headers: dict[str, str]) -> None:
        """Refuse a name that is not the server's own: a page may have made its name lead here (DNS rebinding)."""
        host = headers.get("host", "")
        name = _host_name(host)
        with suppress(ValueError):
            ipaddress.ip_address(name)
            return
        if name not in ("localhost", *self._settings.allow_host):
            note = f"where the server may be asked by this name: --allow-host {name}" if name else ""
            raise Refused(403, "D2F701", f"the host '{host[:100]}' is not this server's", *filter(None, [note]))

    def _origin(self, headers: dict[str, str]) -> str:
        """Return the other origin that asks and may; empty where it is the server's own page or no browser."""
        origin = headers.get("origin")
        if origin is None:
            return ""
        if origin.lower() in self._settings.allow_origin:
            return origin
        place = ""
        with suppress(ValueError):  # it is no address at all
            place = urlsplit(origin).netloc
        if place != headers.get("host", ""):
            note = f"where pages or extensions of this origin may ask: --allow-origin {origin[:100]}"
            raise Refused(403, "D2F701", f"the origin '{origin[:100]}' may not ask", note)
        return ""

    def _check_token(self, path: str, headers: dict[str, str]) -> None:
        if self._token is None or path in OPEN_PATHS or self.is_signed_in(headers):
            return
        if path == "/":
            raise Refused(303, "D2F702", "a token is needed", headers=[("location", "/signin")])
        header = [("www-authenticate", 'Bearer realm="d2f"')]
        note = "send the header Authorization: Bearer TOKEN, or sign in at /signin"
        raise Refused(401, "D2F702", "a token is needed", note, headers=header)

    def is_signed_in(self, headers: dict[str, str]) -> bool:
        """Whether a request has the token, or a cookie that stands for it."""
        if self._token is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return is_token(self._token, given.strip())
        return is_session(self._token, _cookie(headers.get("cookie", "")), time.time())


class _Body:
    """A request's body, counted and timed; `held`: bytes of it that count as held."""

    def __init__(self, receive: Receive, idle: float, most: int, seconds: float, headers: dict[str, str]) -> None:
        self._receive, self._idle, self._most, self._left = receive, idle, most, seconds
        self.held = self._size = 0
        self._complete = False
        stated = headers.get("content-length", "0")
        if not stated.isascii() or not stated.isdigit():
            raise Refused(400, "D2F703", "the header Content-Length is no number")
        if int(stated) > most:
            raise self._too_large(int(stated))

    async def receive(self) -> Message:
        """Return the next message; once the body is complete, waits for the client to go."""
        if self._complete:
            return await self._receive()
        begun = time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), min(self._idle, max(self._left, 0.0)))
        except TimeoutError:
            words = "the request's body did not arrive in time"
            raise Refused(408, "D2F707", words, headers=[("connection", "close")]) from None
        self._left -= time.monotonic() - begun
        self._size += len(message.get("body", b""))
        if self._size > self._most:
            raise self._too_large(self._size)
        self._complete = not message.get("more_body", False)
        return message

    def _too_large(self, size: int) -> Refused:
        words = f"the request has {size} bytes or more, and {self._most} are allowed"
        return Refused(413, "D2F704", words, headers=[("connection", "close")])


class _Answer:
    """Sends an answer with the headers that every one has; a client that does not read it is given up."""

    def __init__(self, send: Send, idle: float) -> None:
        self._send, self._idle = send, idle
        self.status = 0
        self.more: list[tuple[str, str]] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name for name, _ in message.get("headers", [])}
            given = [(name.encode(), value.encode()) for name, value in (*SECURITY_HEADERS, *self.more)]
            message["headers"] = [*message.get("headers", []), *(one for one in given if one[0] not in own)]
        try:
            await asyncio.wait_for(self._send(message), self._idle)
        except TimeoutError:
            raise AnswerUnread from None

    async def refuse(self, error: Refused) -> None:
        """Send an error as the whole answer."""
        if self.status:
            raise error
        await self._whole(error.status, error_body(error), [("content-type", "application/json"), *error.headers])

    async def preflight(self) -> None:
        """Tell a browser that another origin may ask."""
        allowed = [
            ("access-control-allow-methods", "GET, POST, DELETE"),
            ("access-control-allow-headers", "authorization, content-type"),
            ("access-control-max-age", "600"),
        ]
        await self._whole(204, b"", allowed)

    async def _whole(self, status: int, body: bytes, headers: Headers) -> None:
        encoded = [(name.encode(), value.encode()) for name, value in (*headers, ("content-length", str(len(body))))]
        await self({"type": "http.response.start", "status": status, "headers": encoded})
        await self({"type": "http.response.body", "body": body})


def _headers(scope: Scope) -> dict[str, str]:
    """Return the headers by name; a repeated Host or Origin is refused, as it has two meanings."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        if name in found and name in ("host", "origin", "content-length", "authorization"):
            raise Refused(400, "D2F703", f"the header {name} stands twice")
        text = value.decode("latin-1")
        found[name] = f"{found[name]}; {text}" if name in found else text
    return found


def _host_name(host: str) -> str:
    """Return the name of a Host header, without port and brackets.

    >>> [_host_name(host) for host in ("localhost:8000", "[::1]:80", "10.0.0.7")]
    ['localhost', '::1', '10.0.0.7']
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().removesuffix(".")


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""
