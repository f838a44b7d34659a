"""Files by https; from the machine itself by http too."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from d2f.version import __version__
from d2f.weights.attempt import Attempt, Unfetched

PREFIXES = ("https://", "http://")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
TIMEOUT = 30.0
"""Seconds without a byte."""

TRIES = 5
"""Connections that may break before the source is given up; each goes on where the last one stopped."""

BLOCK = 2**20
RANGE_BEHIND_THE_END = 416
PARTIAL = 206
OVERLOADED = 500


class Broken(Exception):
    """The connection broke; another may go on."""


class _Careful(HTTPRedirectHandler):
    """Follows redirections to places that would be allowed themselves."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_https(source: str, attempt: Attempt) -> None:
    """Bring the file of an address; goes on where an earlier attempt stopped, if the server can."""
    _check(source)
    opener = _opener(source)
    for left in reversed(range(TRIES)):
        try:
            _go_on(opener, source, attempt)
        except (Broken, URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if not left or (isinstance(error, HTTPError) and error.code < OVERLOADED):
                raise Unfetched(_words(error)) from error
        else:
            return


def _go_on(opener: OpenerDirector, source: str, attempt: Attempt) -> None:
    done = attempt.part.stat().st_size if attempt.part.exists() else 0
    headers = {"User-Agent": f"d2f/{__version__}", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        answer = opener.open(Request(source, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != RANGE_BEHIND_THE_END or not done:
            raise
        attempt.part.unlink()
        raise Broken("the file has become shorter") from error
    with answer:
        if not _continues(answer, done):
            done = 0
        length = answer.headers.get("Content-Length", "")
        total = attempt.bounded(done + int(length)) if length.isdecimal() else None
        with attempt.part.open("ab" if done else "wb") as file:
            for block in _blocks(answer):
                done = attempt.bounded(done + len(block))
                file.write(block)
                attempt.watch(done, total)
    if total is not None and done < total:
        raise Broken(f"the connection broke after {done} of {total} bytes")


def _blocks(answer: Any) -> Iterator[bytes]:
    # read1 hands out what has come, so that a connection that breaks costs nothing that came before.
    while block := answer.read1(BLOCK):
        yield block


def _continues(answer: Any, done: int) -> bool:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return answer.status == PARTIAL and found is not None and int(found[1]) == done


def _check(source: str) -> None:
    parts = urlsplit(source)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise Unfetched(f"{parts.scheme}://{parts.hostname or ''} is not https")


def _opener(source: str) -> OpenerDirector:
    # The machine itself is never asked through a proxy.
    own = urlsplit(source).hostname in LOOPBACK
    return build_opener(_Careful, ProxyHandler({})) if own else build_opener(_Careful)


def _words(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {error.reason}"
    reason = error.reason if isinstance(error, URLError) else error
    return str(reason) or type(error).__name__
