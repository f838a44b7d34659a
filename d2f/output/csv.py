"""CSV: a header, then one record a row, members flattened."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from d2f.api.rows import Row
from d2f.output import append as refusals
from d2f.output.append import LARGEST_RECORD, AppendFile, Head, StandardOutput
from d2f.output.columns import columns, flatten, members_of, unflatten


class CsvWriter:
    """Writes a row as soon as it is given, the header before the first or, with no rows, at the end."""

    def __init__(self, file: AppendFile | StandardOutput, head: Head, with_header: bool = True) -> None:
        self._file = file
        self._columns = tuple(columns(head.members))
        self._header_due = with_header

    def write(self, row: Row) -> None:
        """Write one record."""
        self._header()
        flat = flatten(row)
        self._file.append(csv_record([flat.get(name) for name in self._columns]))

    def close(self) -> None:
        """Write the header if nothing else was written, and close the file."""
        self._header()
        self._file.close()

    def _header(self) -> None:
        if self._header_due:
            self._header_due = False
            self._file.append(csv_record(self._columns))


def csv_record(fields: Sequence[Any]) -> bytes:
    r"""Return one record: UTF-8, ending in a newline; line ends inside a field are in quotes."""
    text = io.StringIO()
    # The csv module quotes a lone \r only where the line end has one.
    csv.writer(text, lineterminator="\r\n").writerow(fields)
    return text.getvalue().removesuffix("\r\n").encode() + b"\n"


def csv_fields(record: bytes) -> list[str]:
    """Return the fields of one record."""
    (fields,) = csv.reader(io.StringIO(record.decode(), newline=""), strict=True)
    return fields


def csv_records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the records that are whole: a newline ends one where the quotes before it are even in number."""
    held, open_quote = bytearray(), False
    while line := file.readline(LARGEST_RECORD):
        held += line
        open_quote ^= bool(line.count(b'"') % 2)
        if line.endswith(b"\n") and not open_quote:
            yield bytes(held)
            held.clear()
        elif len(held) >= LARGEST_RECORD:
            return


def read(records: Iterator[bytes]) -> Iterator[tuple[Row | None, int]]:
    """Yield (None, length) for the header, then (row, length) for each record; lengths are in bytes."""
    header = next(records, None)
    if header is None:
        return
    names = csv_fields(header)
    members = members_of(names)
    kinds = columns(members)
    if names != list(kinds):
        raise ValueError("it does not begin with the columns of a result")
    yield None, len(header)
    for record in records:
        fields = zip(names, csv_fields(record), strict=True)
        flat = {name: kinds[name](text) if text else None for name, text in fields}
        yield unflatten(flat, members), len(record)


def resume_csv(file: AppendFile, head: Head) -> Iterator[Row]:
    """Yield the rows that a file holds, then cut off a torn last record."""
    ours = csv_record(tuple(columns(head.members)))
    end = 0
    try:
        for row, length in read(file.records(csv_records)):
            if row is not None:
                yield row
            end += length
    except (ValueError, csv.Error) as error:
        raise refusals.cannot_resume(file.path, f"at byte {end}: {error}") from error
    if not end and not ours.startswith(file.tail(0)):
        raise refusals.cannot_resume(file.path, "it does not begin with the columns of a result")
    if end and file.start(len(ours)) != ours:
        raise refusals.other_chain(file.path, "", head.digest)
    if b"\n" in file.tail(end).partition(head.digest.encode())[2]:
        # A torn record ends the file; here another record follows, taken up by a quote that is not closed.
        raise refusals.cannot_resume(file.path, f"at byte {end}: a quote is not closed")
    file.cut_torn(end)
