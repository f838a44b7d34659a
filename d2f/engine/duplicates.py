"""Files of equal content, scored once: each later one has a copy of the first one's row, with a note that says so."""

from __future__ import annotations

import pickle
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from d2f.api.inputs import ImageFile, Note
from d2f.api.rows import Row
from d2f.images.read import Unread


class Duplicates:
    """Rows by their file's digest, kept in a file without a name; about 150 bytes of memory for each."""

    def __init__(self) -> None:
        self.count = 0
        self._rows = tempfile.TemporaryFile(prefix="d2f-rows-")  # noqa: SIM115
        self._places: dict[bytes, int] = {}
        self._coming: set[bytes] = set()
        self._order: deque[tuple[str, bytes] | None] = deque()  # what was taken: None, or a copy's path and digest

    def add(self, row: Row) -> None:
        """Keep a row, unless one of its content is there; its copies are not kept."""
        digest = bytes.fromhex(row.sha256 or "")
        if not digest or digest in self._places:
            return
        self._places[digest] = self._rows.seek(0, 2)
        pickle.dump(row, self._rows, 5)
        self._coming.discard(digest)

    def first_ones(self, images: Iterable[ImageFile | Unread]) -> Iterator[ImageFile | Unread]:
        """Yield the images whose content is new."""
        for image in images:
            digest = bytes.fromhex(image.sha256 or "")
            if digest and (digest in self._places or digest in self._coming):
                self._order.append((image.path, digest))
                continue
            self._coming.add(digest)
            self._order.append(None)
            yield image

    def with_copies(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows of `first_ones`, and those of the others in their places."""
        for row in rows:
            yield from self._copies()
            self._order.popleft()
            self.add(row)
            yield row
        yield from self._copies()
        self._rows.close()

    def _copies(self) -> Iterator[Row]:
        while self._order and (next_one := self._order[0]) is not None:
            self._order.popleft()
            path, digest = next_one
            self._rows.seek(self._places[digest])
            first: Row = pickle.load(self._rows)
            note = Note("duplicate", f"the same bytes as {first.path!r}, whose scores these are")
            self.count += 1
            yield replace(first, path=path, notes=(*first.notes, note))
