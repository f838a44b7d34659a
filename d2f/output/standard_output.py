"""Records on the standard output, each seen by its reader at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TextIO

from d2f.api.errors import D2FError
from d2f.output import refusals

NAME = "standard output"


class StandardOutput:
    """What `AppendFile` is, for a pipe: nothing to cut, nothing to resume.

    Parameters
    ----------
    stream : text file, optional
        The standard output; by default what `sys.stdout` is now. It is held on to, because a run points `sys.stdout`
        elsewhere while it calls plugins.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def append(self, record: bytes) -> None:
        """Write one record and flush it."""
        with guarded(self._stream):
            self._stream.buffer.write(record)
            self._stream.buffer.flush()

    def close(self) -> None:
        """Leave it open: it is not ours."""


@contextmanager
def guarded(stream: IO[str]) -> Iterator[None]:
    """Turn an OSError met while writing to the standard output into ``D2F004``, and let go of it."""
    try:
        with refusals.explained(NAME):
            yield
    except (D2FError, BrokenPipeError):
        _abandon(stream)
        raise


def _abandon(stream: IO[str]) -> None:
    """Send what is still buffered nowhere, so that the interpreter does not fail over it when it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return
