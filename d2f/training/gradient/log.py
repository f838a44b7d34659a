"""A run's log in JSON lines; a resumed run goes on where its checkpoint stood."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from d2f.api.errors import D2FError
from d2f.training.journal import plain


class Log:
    """Appends events to a file.

    Parameters
    ----------
    path : Path
    keep : int
        Bytes of an earlier run's file that are kept; what stands behind them will be told again.
    written : bool
        False writes nothing: one process of several writes.
    """

    def __init__(self, path: Path, keep: int = 0, written: bool = True) -> None:
        self.path, self._written = path, written
        self.bytes = keep
        if written:
            self._change(lambda file: file.truncate(keep))

    def write(self, event: str, **values: Any) -> None:
        """Add a line; numbers that are not finite become null.

        Raises
        ------
        D2FError
            D2F004.
        """
        line = (json.dumps({"event": event, **plain(values)}, ensure_ascii=False) + "\n").encode()
        self.bytes += len(line)
        if self._written:
            self._change(lambda file: file.write(line))

    def _change(self, change: Callable[[BinaryIO], object]) -> None:
        # The file is closed within the `try`: what is buffered may find the disk full only then.
        try:
            with self.path.open("ab") as file:
                change(file)
        except OSError as error:
            raise D2FError.of("D2F004", f"'{self.path}' cannot be written: {error.strerror}") from error


def read_log(path: Path, event: str) -> list[dict[str, Any]]:
    """Return the lines of an event."""
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == event]
