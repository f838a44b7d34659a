"""What a training run did, as JSON lines: the recipe, the data, each figure, the weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError


class Journal:
    """A file of JSON lines; each has an ``event``. Holds no times, so that equal runs write equal files.

    Parameters
    ----------
    path : Path
        Emptied where it is there.

    Raises
    ------
    D2FError
        D2F004: it cannot be written; `write` raises it too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write("wb", b"")

    def write(self, event: str, **values: Any) -> None:
        """Add a line; numbers that are not finite become null."""
        self._write("ab", (json.dumps({"event": event, **plain(values)}, ensure_ascii=False) + "\n").encode())

    def _write(self, mode: str, data: bytes) -> None:
        # The file is closed within the `try`: what is buffered may find the disk full only then.
        try:
            with self.path.open(mode) as file:
                file.write(data)
        except OSError as error:
            raise D2FError.of("D2F004", f"'{self.path}' cannot be written: {error.strerror}") from error


def plain(value: Any) -> Any:
    """Return plain data for JSON: numbers rounded to six places, null where they are not finite."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
