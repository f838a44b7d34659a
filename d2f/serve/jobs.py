"""Jobs: an uploaded archive, or a folder below the root, judged in the background while pictures of people come first.

One job runs at a time. What it needs lies in one private folder of the server's, which is gone when it ends.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, BinaryIO

from d2f.api.errors import D2FError
from d2f.api.rows import Row, encodable
from d2f.chain.chain import Chain
from d2f.chain.words import legend, sentence
from d2f.files import below
from d2f.images.files import find_images
from d2f.images.read import ImageError, read_bytes
from d2f.images.walk import Listing
from d2f.output.lines import json_line, json_lines, row_of_line
from d2f.report.page import document, listed
from d2f.serve.batching import Batcher
from d2f.serve.guard import Refused, about_to_end
from d2f.serve.settings import ServeSettings
from d2f.serve.uploads import Upload, clean_name

AHEAD = 8
"""Pictures of a job that wait or are worked on at once."""

BYTES_AHEAD = 128 * 2**20
"""Bytes of them, but for one that is larger."""

SUFFIXES = (
    (0, b"PK\x03\x04", ".zip"),
    (0, b"\x1f\x8b", ".tar.gz"),
    (0, b"BZh", ".tar.bz2"),
    (0, b"\xfd7zXZ\x00", ".tar.xz"),
    (257, b"ustar", ".tar"),
)
"""First bytes of archives that are read, and the ending by which the image reader knows them."""

MOST_SHOWN = 2000
"""Pictures of a job's report."""

ENDED = ("done", "failed", "cancelled")

PREFIX = f"d2f-jobs-{os.getuid()}-"
"""How the folders of this user's servers begin."""


@dataclass(eq=False)
class ImageJob:
    """One job: where its images are, and how far it is."""

    name: str
    target: str
    folder: Path
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    state: str = "waiting"
    found: int = 0
    done: int = 0
    results: Counter[str] = field(default_factory=Counter)
    error: dict[str, str] | None = None
    created: float = field(default_factory=time.time)
    cancelled: threading.Event = field(default_factory=threading.Event)
    listing: Listing = field(default_factory=Listing)

    @property
    def links_refused(self) -> int:
        """How many links led out of the root."""
        return self.listing.links_refused if isinstance(self.listing, _ListingBelow) else 0

    @property
    def rows(self) -> Path:
        """The file of its rows."""
        return self.folder / "rows.jsonl"

    def told(self) -> dict[str, Any]:
        """Return what a client is told of it."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "found": self.found,
            "done": self.done,
            "results": dict(self.results),
            "passed_over": dict(self.listing.passed_over),
            "links_refused": self.links_refused,
            "error": self.error,
            "created": round(self.created, 3),
        }


class _ListingBelow(Listing):
    """What a search below the root has met; links that lead out of it are counted, and nothing behind them."""

    def __init__(self, root: str) -> None:
        super().__init__()
        self.root, self.links_refused = root, 0

    def enter(self, folder: str) -> bool:
        """Whether a folder is below the root and new."""
        return self._is_below(folder) and super().enter(folder)

    def takes(self, path: str) -> bool:
        """Whether a file is below the root and is taken."""
        return self._is_below(path) and super().takes(path)

    def _is_below(self, path: str) -> bool:
        inside = below(self.root, path) is not None
        self.links_refused += not inside
        return inside


class Jobs:
    """The jobs of one server, and the thread that works on them; `made` is told every row."""

    def __init__(
        self, batcher: Batcher, settings: ServeSettings, made: Callable[[Row], None] = lambda row: None
    ) -> None:
        self._batcher, self._settings, self._made = batcher, settings, made
        self._private: PrivateFolder | None = None
        self._jobs: dict[str, ImageJob] = {}
        self._due: deque[ImageJob] = deque()
        self._changed = threading.Condition()
        self._used = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="d2f-jobs", daemon=True)

    def start(self) -> None:
        """Make the folder and begin."""
        self._private = PrivateFolder()
        self._thread.start()

    def stop(self) -> None:
        """Give up what runs and waits; ask no further row."""
        with self._changed:
            self._closed = True
            for job in self._jobs.values():
                job.cancelled.set()
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join()
        if self._private is not None:
            self._private.close()
            self._private = None

    @property
    def folder(self) -> Path | None:
        """Where all that jobs need lies; None before the start and after the end."""
        return None if self._private is None else self._private.path

    @property
    def closed(self) -> bool:
        """Whether the server is about to end."""
        return self._closed

    @property
    def all(self) -> list[ImageJob]:
        """The jobs, the oldest first."""
        return list(self._jobs.values())

    def find(self, id: str) -> ImageJob:
        """Return a job; 404 where there is none."""
        if id not in self._jobs:
            raise Refused(404, "D2F709", f"there is no job '{id[:40]}'", "they end with the server, and when deleted")
        return self._jobs[id]

    def of_folder(self, name: str) -> ImageJob:
        """Begin a job for a folder below the root; 403 and 404 where it may not or cannot be."""
        root = self._settings.root
        if root is None:
            raise Refused(
                403, "D2F701", "folders of the server are not judged", "the server is started with --root DIR"
            )
        target = below(root, name)
        if target is None or not target.is_dir():
            raise Refused(404, "D2F002", f"there is no folder '{name[:200]}' below the root")
        return self._begin(encodable(name), str(target), listing=_ListingBelow(os.path.realpath(root)))

    async def of_archive(self, name: str, chunks: AsyncIterator[bytes]) -> ImageJob:
        """Begin a job for an archive that is being sent; 415 where it is none."""
        self._require_room()
        folder = self._make_folder()
        path, begun = folder / "upload", False
        try:
            with path.open("wb") as file:
                async for chunk in chunks:
                    self._keep(len(chunk))
                    file.write(chunk)
            with path.open("rb") as file:
                head = file.read(512)
            suffix = next((one for at, magic, one in SUFFIXES if head[at : at + len(magic)] == magic), None)
            if suffix is None:
                raise Refused(415, "D2F703", "this is no archive", "send a .zip, or a .tar, plain or compressed")
            path = path.rename(path.with_name(f"upload{suffix}"))
            job = self._begin(clean_name(name), str(path), folder)
            begun = True
            return job
        finally:
            if not begun:
                self._drop(folder)

    def delete(self, job: ImageJob) -> None:
        """Cancel a job that has not ended, and forget it."""
        with self._changed:
            self._jobs.pop(job.id, None)
            job.cancelled.set()
            running = job.state == "running"
        if not running:
            self._drop(job.folder)

    def _begin(self, name: str, target: str, folder: Path | None = None, listing: Listing | None = None) -> ImageJob:
        self._require_room()
        job = ImageJob(name, target, folder or self._make_folder(), listing=listing or Listing())
        with self._changed:
            self._jobs[job.id] = job
            self._due.append(job)
            self._changed.notify_all()
        return job

    def _require_room(self) -> None:
        """Forget the oldest that has ended where there are as many jobs as may be; 429 where none has."""
        if self._closed:
            raise about_to_end()
        if len(self._jobs) < self._settings.limits.jobs:
            return
        ended = next((job for job in self.all if job.state in ENDED), None)
        if ended is None:
            words = f"{len(self._jobs)} jobs run or wait"
            raise Refused(429, "D2F705", words, "wait until one ends, or delete one", headers=[("retry-after", "30")])
        self.delete(ended)

    def _make_folder(self) -> Path:
        if self._private is None:
            raise about_to_end()
        if not self._private.path.exists():  # what cleans the temporary directory of old folders has taken it
            self._private.close()
            self._private = PrivateFolder()
        return Path(tempfile.mkdtemp(prefix="job-", dir=self._private.path))

    def _keep(self, size: int) -> None:
        """Count bytes that go to the disk; 413 where they are too many."""
        most = self._settings.limits.job_bytes
        with self._changed:
            if self._used + size > most:
                raise Refused(413, "D2F704", f"archives and results of all jobs may have {most} bytes")
            self._used += size

    def _drop(self, folder: Path) -> None:
        with self._changed:
            self._used -= sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0
        shutil.rmtree(folder, ignore_errors=True)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due or self._closed)
                if self._closed:
                    return
                job = self._due.popleft()
                if job.cancelled.is_set():
                    continue
                job.state = "running"
            state = "done"
            try:
                self._judge(job)
            except D2FError as error:
                state = "failed"
                job.error = {"code": error.problems[0].code, "message": error.problems[0].message}
            except CancelledError:
                state = "cancelled"
            except Exception as error:  # such as a full disk: it costs this job
                state, job.error = "failed", {"code": "D2F004", "message": f"{type(error).__name__}: {error}"}
            with self._changed:
                job.state = state
                gone = job.id not in self._jobs
            if gone:
                self._drop(job.folder)

    def _judge(self, job: ImageJob) -> None:
        """Write the rows of a job, in order, while later pictures are worked on."""
        window: deque[tuple[Future[Row], int]] = deque()
        held = 0
        try:
            with job.rows.open("wb") as file:
                for upload in self._uploads(job):
                    while window and (len(window) >= AHEAD or held + len(upload.data) > BYTES_AHEAD):
                        held -= self._write(job, file, *window.popleft())
                    window.append((self._batcher.submit(upload, later=True), len(upload.data)))
                    held += len(upload.data)
                    job.found += 1
                while window:
                    self._write(job, file, *window.popleft())
        finally:
            for future, _ in window:
                future.cancel()

    def _write(self, job: ImageJob, file: BinaryIO, future: Future[Row], held: int) -> int:
        """Write a row once it is there; return the bytes that its picture held."""
        while not future.done():
            if job.cancelled.wait(0.05):
                raise CancelledError
        row = future.result()
        self._made(row)
        line = json_line(row)
        self._keep(len(line))
        file.write(line)
        file.flush()
        job.results[row.error.code if row.error is not None else str(row.verdict)] += 1
        job.done += 1
        return held

    def _uploads(self, job: ImageJob) -> Iterator[Upload]:
        """Yield the pictures of a job; their names are seen from the folder or the archive."""
        limits, base = self._settings.limits, os.path.realpath(self._settings.root or "/")
        inside = f"{job.target}!"
        for number, path in enumerate(find_images([job.target], job.listing)):
            if job.cancelled.is_set():
                raise CancelledError
            if number >= limits.job_files:
                raise Refused(413, "D2F704", f"a job may have {limits.job_files} pictures")
            if path.startswith(inside):
                name = path.removeprefix(inside)
            elif path == job.target:
                name = job.name
            elif below(base, path) is not None:
                name = os.path.relpath(path, base)
            else:
                continue  # it has become a link out of the root since it was listed
            try:
                upload = Upload(name, read_bytes(path, limits.bounds))
            except ImageError as error:
                upload = Upload(name, failure=error.unread.failure)
            yield upload


def job_report(job: ImageJob, chain: Chain) -> str:
    """Return a job's rows as a page that is complete in itself, the most probably generated first."""
    shown: list[tuple[float, str, str]] = []
    if job.rows.is_file():
        with job.rows.open("rb") as file:
            for row in map(row_of_line, json_lines(file)):
                shown.append((-1.0 if row.probability is None else row.probability, row.path, sentence(row)))
    shown.sort(key=lambda one: -one[0])
    lines = [
        f"<tr><td>{escape(encodable(path))}</td><td>{escape(words)}</td></tr>" for _, path, words in shown[:MOST_SHOWN]
    ]
    told = f"{job.done:,} of {job.found:,} pictures judged; {job.state}."
    if len(shown) > MOST_SHOWN:
        told += f" The first {MOST_SHOWN:,} are shown; all are in the rows."
    left = job.listing.lines()
    if refused := job.links_refused:
        left.append(
            f"{refused} {'link that leads' if refused == 1 else 'links that lead'} out of the root not followed"
        )
    table = f'<div class="wide changed"><table><tbody>{"".join(lines)}</tbody></table></div>'
    body = [
        f"<h1>{escape(job.name)}</h1>",
        f"<p>{told}</p>",
        *(f"<p>{escape(encodable(line))}.</p>" for line in left),
        table,
        "<h2>How to read it</h2>",
        listed([*legend(chain)]),
    ]
    return document(f"{job.name}: d2f", body)


class PrivateFolder:
    """A folder in the temporary directory that this process alone uses, removed at the end or at another's start.

    The lock on it, which the system lifts when a process dies, tells whose server still runs.
    """

    def __init__(self) -> None:
        for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            if (lock := _locked(left)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._lock = _locked(self.path)
            if self.path.is_dir():  # else a server that began just now has taken it for one that was left
                return
            self.close()

    def close(self) -> None:
        """Remove it with all that it holds."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(folder: Path) -> int | None:
    """Return the descriptor of a folder, locked; None where another process has it, or there are no locks."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
