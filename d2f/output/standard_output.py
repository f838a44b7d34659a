"""Records on the standard output, each seen by its reader at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from d2f.api.errors import D2FError
from d2f.output import refusals

NAME = "standard output"


class StandardOutput:
    """What `AppendFile` is, for a pipe: nothing to cut, nothing to resume."""

    def append(self, record: bytes) -> None:
        """Write one record and flush it."""
        with guarded():
            sys.stdout.buffer.write(record)
            sys.stdout.buffer.flush()

    def close(self) -> None:
        """Leave it open: it is not ours."""


@contextmanager
def guarded() -> Iterator[None]:
    """Turn an OSError met while writing into ``D2F004``, and let go of the standard output."""
    try:
        with refusals.explained(NAME):
            yield
    except (D2FError, BrokenPipeError):
        _abandon()
        raise


def _abandon() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not fail over it when it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return
