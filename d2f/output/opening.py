"""A run's output opened: rows new, replaced, or resumed with those that are there; and the record beside it.

The record is JSON, ``OUTPUT.run.json``, with an entry for each run that wrote to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError
from d2f.api.rows import Row
from d2f.files import cannot_write, file_system, is_url, said, write_whole
from d2f.output import append as refusals
from d2f.output import lines
from d2f.output import parquet as parquet_parts
from d2f.output.append import RESUMABLE, AppendFile, Format, Head, Mode, StandardOutput, Writer
from d2f.version import __version__

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console

KEY_BYTES = 16


class Done:
    """A set of paths, stored as 128-bit digests: no two paths were ever seen to share one.

    Filled first, then asked. It takes 16 bytes a path (48 for the moment when it is sorted): 16 MB for a million rows.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._count = 0
        # Digests in order, in two halves of 64 bits.
        self._high, self._low = array("Q"), array("Q")

    def __len__(self) -> int:
        return self._count

    def add(self, path: str) -> None:
        """Put in a path."""
        assert not self._high, "it is filled first, then asked"
        self._pending += _path_key(path)
        self._count += 1

    def __contains__(self, path: str) -> bool:
        if self._pending:
            self._sort()
        digest = _path_key(path)
        high, low = int.from_bytes(digest[:8]), int.from_bytes(digest[8:])
        at = bisect_left(self._high, high)
        while at < len(self._high) and self._high[at] == high:
            if self._low[at] == low:
                return True
            at += 1
        return False

    def _sort(self) -> None:
        import numpy as np

        pairs = np.frombuffer(bytes(self._pending), dtype=">u8").reshape(-1, 2).astype(np.uint64)
        self._pending = bytearray()
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        self._high, self._low = (array("Q", half.tobytes()) for half in pairs.T)


def _path_key(path: str) -> bytes:
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=KEY_BYTES).digest()


Seen = Callable[[Row], None]


def open_writer(
    path: str | None,
    format: Format,
    head: Head,
    mode: Mode = "new",
    seen: Seen | None = None,
    console: Console | None = None,
    stream: TextIO | None = None,
) -> Writer:
    """Open an output for rows."""
    if mode == "resume" and (path is None or format not in RESUMABLE):
        hint = f"give -o FILE with --format {'|'.join(RESUMABLE)}"
        raise D2FError.of("D2F001", "only a file of rows can be resumed", hint)
    if path is not None and is_url(path):
        parquet_parts.require_parquet(path, format)
    if format == "table":
        return _open_table(path, mode, console, stream)
    if format == "parquet":
        return _open_parquet(str(path), head, mode, seen)
    return _open_lines(StandardOutput(stream) if path is None else AppendFile(path, mode), format, head, mode, seen)


def _open_table(path: str | None, mode: Mode, console: Console | None, stream: TextIO | None) -> Writer:
    from d2f.output.table import TableWriter, plain_console

    if path is None:
        return TableWriter(console or plain_console(stream))
    AppendFile(path, mode).close()
    file = open(path, "w", encoding="utf-8", newline="\n")  # noqa: SIM115
    return TableWriter(plain_console(file), file, path)


def _open_parquet(path: str, head: Head, mode: Mode, seen: Seen | None) -> Writer:
    folder = parquet_parts.StoreFolder(path, mode) if is_url(path) else parquet_parts.PartsFolder(path, mode)
    try:
        _resume(parquet_parts.resume_parquet(folder, head), path, head, seen)
    except D2FError:
        folder.close()
        raise
    return parquet_parts.ParquetWriter(folder, head)


def _open_lines(file: AppendFile | StandardOutput, format: Format, head: Head, mode: Mode, seen: Seen | None) -> Writer:
    if isinstance(file, AppendFile) and mode == "resume":
        try:
            _resume(
                lines.resume_jsonl(file) if format == "jsonl" else lines.resume_csv(file, head),
                file.path,
                head,
                seen,
            )
        except D2FError:
            file.close()
            raise
    if format == "jsonl":
        return lines.JsonlWriter(file)
    return lines.CsvWriter(file, head, with_header=isinstance(file, StandardOutput) or not file.end)


def _resume(rows: Iterator[Row], path: str, head: Head, seen: Seen | None) -> None:
    for row in rows:
        if row.chain_digest != head.digest:
            raise refusals.other_chain(path, row.chain_digest, head.digest)
        if seen is not None:
            seen(row)


SUFFIX = ".run.json"


def machine_facts() -> dict[str, Any]:
    """Return what a rate depends on, and nothing that names the machine."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            processor = next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    return {
        "system": platform.platform(),
        "processor": processor,
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
    }


class RunRecord:
    """The record of one output; begun with the run, so that one that was killed has an entry without an end."""

    def __init__(self, output: str, mode: Mode) -> None:
        self.path = output.rstrip("/") + SUFFIX
        self._runs: list[dict[str, Any]] = []
        text = None if mode == "overwrite" else _record_text(self.path)
        if text is not None:
            if mode == "new":
                raise refusals.exists(self.path)
            try:
                self._runs = list(json.loads(text)["runs"])
            except (ValueError, KeyError, TypeError) as error:
                raise refusals.cannot_resume(self.path, f"it is no record of a run: {error}") from None

    def begin(self, facts: dict[str, Any]) -> None:
        """Write that a run has begun, and what is known of it."""
        start = {"d2f": __version__, "started": _now(), "ended": None}
        self._runs.append({**start, **facts, "machine": machine_facts()})
        self._write()

    def end(self, how: str, facts: dict[str, Any]) -> None:
        """Write that the run has ended: ``complete``, ``interrupted`` or ``failed``, and what it has done."""
        self._runs[-1] |= {"ended": _now(), "how": how, **facts}
        self._write()

    def _write(self) -> None:
        text = json.dumps({"runs": self._runs}, indent=1, ensure_ascii=False) + "\n"
        if not is_url(self.path):
            write_whole(self.path, text)
            return
        system, path = file_system(self.path)
        try:
            with system.open_output_stream(path) as file:
                file.write(text.encode())
        except OSError as error:
            raise cannot_write(self.path, said(error)) from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _record_text(path: str) -> bytes | None:
    try:
        if not is_url(path):
            with open(path, "rb") as file:
                return file.read()
        system, place = file_system(path)
        with system.open_input_stream(place) as file:
            return bytes(file.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise D2FError.of("D2F006", f"'{path}' cannot be read: {said(error)}") from None
