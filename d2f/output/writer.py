"""What a writer of rows is."""

from __future__ import annotations

from typing import Protocol

from d2f.api.rows import Row


class Writer(Protocol):
    """Takes rows one by one; memory does not grow with their number."""

    def write(self, row: Row) -> None:
        """Write one row.

        Raises
        ------
        D2FError
            ``D2F004``: the disk is full, or the file cannot be written any more. Rows written before stay.
        BrokenPipeError
            Whoever read the standard output has stopped reading.
        """
        ...

    def close(self) -> None:
        """Bring everything to its place; a closed writer may be closed again."""
        ...
