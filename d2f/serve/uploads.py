"""Pictures out of a request's body: multipart/form-data, or the bytes of one. They stay in memory, within limits."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from d2f.api.rows import Failure
from d2f.serve.guard import Refused
from d2f.serve.settings import Limits

LONGEST_NAME = 200
"""Characters of an upload's name that are kept, its last ones."""

RAW_TYPES = ("", "application/octet-stream")
HOW = "send pictures as multipart/form-data, or the bytes of one as image/* or application/octet-stream"


@dataclass(slots=True)
class Upload:
    """A picture as it was sent: its whole file, or why it cannot be judged; its name is not to be trusted as a path."""

    name: str
    data: bytes = field(default=b"", repr=False)
    failure: Failure | None = None


def clean_name(given: str) -> str:
    """Return the last component of a name that a stranger gave, of printable characters.

    >>> clean_name("../../etc/pass\\x00wd"), clean_name("C:\\\\photos\\\\a.jpg"), clean_name("..")
    ('passwd', 'a.jpg', 'picture')
    """
    last = given.replace("\\", "/").rpartition("/")[2]
    kept = "".join(one for one in last if unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    return kept.strip(" .")[-LONGEST_NAME:] or "picture"


async def read_uploads(content_type: str, chunks: AsyncIterator[bytes], limits: Limits, name: str = "") -> list[Upload]:
    """Read the pictures of a body; `name` is that of one that is sent as it is.

    Refused, status 400, 413, 415 or 422: what was sent is not understood, or too much.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        if not options.get(b"boundary"):
            raise Refused(400, "D2F703", "the header Content-Type of multipart/form-data has no boundary")
        form = _Form(options[b"boundary"], limits)
        async for chunk in chunks:
            form.write(chunk)
        return form.finish()
    if kind.decode("latin-1") not in RAW_TYPES and not kind.startswith(b"image/"):
        raise Refused(415, "D2F703", f"a body of type '{kind.decode('latin-1')[:100]}' is not understood", HOW)
    body = _Growing(name, limits.file_bytes)
    async for chunk in chunks:
        body.add(chunk)
    return [body.whole()]


class _Growing:
    """A picture of which bytes arrive; one that is too large is counted and not kept."""

    def __init__(self, name: str, most: int) -> None:
        self._name, self._most = clean_name(name), most
        self._parts, self._size = list[bytes](), 0

    def add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._most:
            self._parts.clear()
        else:
            self._parts.append(data)

    def whole(self) -> Upload:
        failure = None
        if self._size > self._most:
            failure = Failure("D2F305", f"{self._size} bytes, more than the {self._most} allowed")
        return Upload(self._name, b"".join(self._parts), failure)


class _Form:
    """The files of a multipart body; what is no file is passed over."""

    def __init__(self, boundary: bytes, limits: Limits) -> None:
        self._limits = limits
        self._uploads: list[Upload] = []
        self._open: _Growing | None = None
        self._header = self._value = self._disposition = b""
        self._ended = False
        calls = {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        try:
            self._parser = MultipartParser(boundary, calls)  # type: ignore[arg-type]
        except FormParserError as error:
            raise _misread(error) from None

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _misread(error) from None

    def finish(self) -> list[Upload]:
        """Return the pictures; the body has ended."""
        if not self._ended:
            raise Refused(400, "D2F703", "the body ends before its last boundary")
        if not self._uploads:
            raise Refused(422, "D2F703", "the form holds no file", 'each picture is a part with a filename: "image"')
        return self._uploads

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._disposition = b""
        if b"filename" not in options:
            return
        if len(self._uploads) >= self._limits.files:
            most = self._limits.files
            raise Refused(413, "D2F704", f"more than {most} pictures", "send them in several requests, or as a job")
        self._open = _Growing(options[b"filename"].decode("utf-8", "replace"), self._limits.file_bytes)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._open is not None:
            self._open.add(data[start:end])

    def _on_part_end(self) -> None:
        if self._open is not None:
            self._uploads.append(self._open.whole())
            self._open = None

    def _on_end(self) -> None:
        self._ended = True


def _misread(error: Exception) -> Refused:
    return Refused(400, "D2F703", f"the form cannot be read: {str(error)[:200]}")
