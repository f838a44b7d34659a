"""What a training run did, as JSON lines: the recipe, the data, each figure, the weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TextIO

from d2f.api.errors import D2FError


class Journal:
    """A file of JSON lines; each has an ``event``. Holds no times, so that equal runs write equal files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Journal:
        try:
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise D2FError.of("D2F004", f"'{self.path}' cannot be written: {error.strerror}") from error
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, event: str, **values: Any) -> None:
        """Add a line; numbers that are not finite become null."""
        assert self._file is not None
        self._file.write(json.dumps({"event": event, **plain(values)}, ensure_ascii=False) + "\n")
        self._file.flush()


def plain(value: Any) -> Any:
    """Return plain data for JSON: numbers rounded to six places, null where they are not finite."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
