"""An output opened: new, replaced, or resumed with the rows that stand in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from d2f.api.errors import D2FError
from d2f.api.rows import Row
from d2f.output import csv_file, jsonl_file, parquet_parts, refusals
from d2f.output.append import AppendFile, Mode
from d2f.output.formats import RESUMABLE, Format
from d2f.output.head import Head
from d2f.output.standard_output import StandardOutput
from d2f.output.writer import Writer

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console

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
    """Open an output for rows.

    Parameters
    ----------
    path : str or None
        A file, or the folder of Parquet parts; None for the standard output.
    format : {'table', 'jsonl', 'csv', 'parquet'}
    head : Head
        The chain that the rows will come from.
    mode : {'new', 'overwrite', 'resume'}
        ``new`` refuses an output that holds something. ``resume`` keeps its rows, and cuts off a torn last one.
    seen : callable, optional
        Called with each row that a resumed output holds already.
    console : rich.console.Console, optional
        Where a table for the standard output is printed; default a plain one.
    stream : text file, optional
        The standard output; default what `sys.stdout` is now.

    Raises
    ------
    D2FError
        ``D2F001``: a table or the standard output cannot be resumed; ``D2F004``: the output cannot be written, or
        holds something; ``D2F005``: the rows to resume are another chain's; ``D2F006``: they cannot be read.
    """
    if mode == "resume" and (path is None or format not in RESUMABLE):
        hint = f"give -o FILE with --format {'|'.join(RESUMABLE)}"
        raise D2FError.of("D2F001", "only a file of rows can be resumed", hint)
    if format == "table":
        return _table(path, mode, console, stream)
    if format == "parquet":
        return _parquet(str(path), head, mode, seen)
    return _lines(StandardOutput(stream) if path is None else AppendFile(path, mode), format, head, mode, seen)


def _table(path: str | None, mode: Mode, console: Console | None, stream: TextIO | None) -> Writer:
    from d2f.output.table import TableWriter, plain_console

    if path is None:
        return TableWriter(console or plain_console(stream))
    AppendFile(path, mode).close()
    file = open(path, "w", encoding="utf-8", newline="\n")  # noqa: SIM115
    return TableWriter(plain_console(file), file, path)


def _parquet(path: str, head: Head, mode: Mode, seen: Seen | None) -> Writer:
    folder = parquet_parts.PartsFolder(path, mode)
    try:
        _read(parquet_parts.resume(folder, head), path, head, seen)
    except D2FError:
        folder.close()
        raise
    return parquet_parts.ParquetWriter(folder, head)


def _lines(file: AppendFile | StandardOutput, format: Format, head: Head, mode: Mode, seen: Seen | None) -> Writer:
    if isinstance(file, AppendFile) and mode == "resume":
        try:
            _read(jsonl_file.resume(file) if format == "jsonl" else csv_file.resume(file, head), file.path, head, seen)
        except D2FError:
            file.close()
            raise
    if format == "jsonl":
        return jsonl_file.JsonlWriter(file)
    return csv_file.CsvWriter(file, head, with_header=isinstance(file, StandardOutput) or not file.end)


def _read(rows: Iterator[Row], path: str, head: Head, seen: Seen | None) -> None:
    for row in rows:
        if row.chain_digest != head.digest:
            raise refusals.other_chain(path, row.chain_digest, head.digest)
        if seen is not None:
            seen(row)
