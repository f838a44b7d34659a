"""Asks a server for rows: `d2f judge --server URL`. Needs nothing of the extra `serve`."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from d2f.api.errors import CODES, D2FError, Exit
from d2f.api.inputs import Bounds
from d2f.api.rows import Row, encodable
from d2f.images.read import ImageError, read_bytes
from d2f.output.lines import row_of_data

AT_ONCE = 4
"""Pictures that are sent at once."""

PATIENCE = 300.0
"""Seconds for one answer, and for a server that is busy to have room."""

LARGEST_ANSWER = 64 * 2**20


class Client:
    """A server, as a client sees it; may be asked from several threads.

    D2FError: D2F001 where the address is none, D2F702 where a token is wanted, D2F710 where it cannot be reached.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = _address_parts(url)
        self._url, self._base = url, parts.path.rstrip("/")
        self._connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port = parts.hostname or "", parts.port
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self.about: dict[str, Any] = self._told("GET", "/v1/chain")
        """What the server tells of its chain."""
        try:
            self._bounds = Bounds(bytes=int(self.about["limits"]["file_bytes"]))
            self._chain = {"chain": self.about["name"], "chain_digest": self.about["digest"]}
            self._plugins: dict[str, str] = self.about["plugins"]
        except (KeyError, TypeError, ValueError):
            raise self._not_understood("it does not tell what chain is served") from None

    def rows(self, paths: Iterable[str]) -> Iterator[Row]:
        """Yield the rows of files, in order, while later ones are being judged."""
        source = iter(paths)
        with ThreadPoolExecutor(AT_ONCE, "d2f-client") as threads:
            window: deque[Future[Row]] = deque(threads.submit(self.row, path) for path in islice(source, 2 * AT_ONCE))
            try:
                while window:
                    yield window.popleft().result()
                    window.extend(threads.submit(self.row, path) for path in islice(source, 1))
            finally:
                for future in window:
                    future.cancel()

    def row(self, path: str) -> Row:
        """Return the row of one file; one that cannot be read has its row too."""
        try:
            data = read_bytes(path, self._bounds)
        except ImageError as error:
            return Row(path, **self._chain, plugins=self._plugins, error=error.unread.failure)
        name = quote(encodable(os.path.basename(path))[-200:])
        answer = self._told("POST", f"/v1/judge?name={name}", data)
        try:
            row = row_of_data(answer["rows"][0])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise self._not_understood(f"it holds no row that this d2f knows ({error})") from None
        return replace(row, path=path)

    def _told(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """Return an answer that holds what was asked for; wait where the server is busy."""
        end = time.monotonic() + PATIENCE
        while True:
            status, headers, data = self._exchange(method, path, body)
            if status not in (429, 503) or time.monotonic() > end:
                break
            waits = headers.get("retry-after", "1")
            time.sleep(min(float(waits) if waits.isdigit() else 1.0, 30.0))
        try:
            told = json.loads(data)
        except ValueError:
            raise self._not_understood(f"status {status}, and no JSON") from None
        if not isinstance(told, dict):
            raise self._not_understood(f"status {status}, and no object")
        if status == 200 or "rows" in told:
            return told
        error = told.get("error")
        if not isinstance(error, dict) or error.get("code") not in CODES:
            raise self._not_understood(f"status {status}")
        notes = ["--token TOKEN, or D2F_TOKEN in the environment"] if status == 401 else list(error.get("notes", []))
        raise D2FError.of(error["code"], f"{self._url}: {error['message']}", *notes, exit=Exit.SOME_FAILED)

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, dict[str, str], bytes]:
        connection = self._connection(self._host, self._port, timeout=PATIENCE)
        kind = {"content-type": "application/octet-stream"} if body is not None else {}
        try:
            connection.request(method, self._base + path, body, {**self._headers, **kind})
            answer = connection.getresponse()
            data = answer.read(LARGEST_ANSWER)
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, data
        except (OSError, http.client.HTTPException, ValueError) as error:
            words = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise D2FError.of(
                "D2F710", f"{self._url} cannot be reached: {words}", "is it running? d2f serve", exit=Exit.SOME_FAILED
            ) from None
        finally:
            connection.close()

    def _not_understood(self, why: str) -> D2FError:
        words = f"{self._url}: the answer is not understood: {why}"
        return D2FError.of("D2F710", words, "is it d2f serve, and of this version?", exit=Exit.SOME_FAILED)


def _address_parts(url: str) -> SplitResult:
    """Return the parts of a server's address; D2F001 where it is none."""
    with suppress(ValueError):  # a port beyond 65535, a bracket that stays open
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise D2FError.of("D2F001", f"'{url}' is no address of a server", "such as http://127.0.0.1:8000")
