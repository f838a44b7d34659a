"""An output opened: new, replaced, or resumed with the rows that it holds."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from d2f.api.errors import D2FError
from d2f.api.rows import Row
from d2f.output import append as refusals
from d2f.output import csv as csv_file
from d2f.output import jsonl as jsonl_file
from d2f.output import parquet as parquet_parts
from d2f.output.append import AppendFile, Head, Mode, StandardOutput
from d2f.output.columns import RESUMABLE, Format, Writer
from d2f.output.store_parts import StoreFolder, require_parquet
from d2f.stores import is_url

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
        require_parquet(path, format)
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
    folder = StoreFolder(path, mode) if is_url(path) else parquet_parts.PartsFolder(path, mode)
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
                jsonl_file.resume_jsonl(file) if format == "jsonl" else csv_file.resume_csv(file, head),
                file.path,
                head,
                seen,
            )
        except D2FError:
            file.close()
            raise
    if format == "jsonl":
        return jsonl_file.JsonlWriter(file)
    return csv_file.CsvWriter(file, head, with_header=isinstance(file, StandardOutput) or not file.end)


def _resume(rows: Iterator[Row], path: str, head: Head, seen: Seen | None) -> None:
    for row in rows:
        if row.chain_digest != head.digest:
            raise refusals.other_chain(path, row.chain_digest, head.digest)
        if seen is not None:
            seen(row)
