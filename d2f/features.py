"""Expensive features kept on disk: what a large network makes of a picture is computed once.

A detector that looks at pictures through a tower (an image encoder) asks for its features here. Outside of `keeping`
they are computed each time; within it, as under ``d2f bench --features FILE``, those of a picture that was seen before,
in whatever run, under whatever attack and in whatever view, are read back, so that a new head costs seconds.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from d2f.api.errors import D2FError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Features: TypeAlias = NDArray[np.float32]

_kept: Kept | None = None


def features(model: str, batch: NDArray[np.uint8], compute: Callable[[NDArray[np.uint8]], Features]) -> Features:
    """Return the features of a batch of pictures, computed or read back.

    Parameters
    ----------
    model : str
        What computes them: digest of the weights, blocks, everything that the features depend on but the pixels.
    batch : numpy.ndarray, shape (n, height, width, 3), uint8
    compute : callable
        From m pictures, those that are not known, shape (m, height, width, 3), to features of shape (m, d), float32,
        each picture's the same whatever the others are.

    Returns
    -------
    numpy.ndarray, shape (n, d), float32
    """
    import numpy as np

    if _kept is None:
        return compute(batch)
    keys = [_key(model, picture) for picture in batch]
    known = _kept.read(keys)
    missing = [place for place, key in enumerate(keys) if key not in known]
    if missing:
        found = np.asarray(compute(batch[missing]), dtype=np.float32)
        fresh = {keys[place]: row for place, row in zip(missing, found, strict=True)}
        _kept.write(fresh)
        known |= fresh
    return np.stack([known[key] for key in keys])


@contextmanager
def keeping(path: str | None) -> Iterator[None]:
    """Keep features in a file while this context is open; None keeps nothing.

    The file is an SQLite database, made where it is missing; several processes may use it at once, and one that is
    killed loses nothing that was written.

    Raises
    ------
    D2FError
        D2F004 where it cannot be opened.
    """
    global _kept
    before = _kept
    kept = Kept(path) if path is not None else None
    _kept = kept
    try:
        yield
    finally:
        _kept = before
        if kept is not None:
            kept.close()


class Kept:
    """Features by key, in one SQLite file."""

    def __init__(self, path: str) -> None:
        self._lock, self._path = threading.Lock(), path
        try:
            self._file = sqlite3.connect(path, timeout=60, check_same_thread=False)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute("CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, row BLOB) WITHOUT ROWID")
        except sqlite3.Error as error:
            raise D2FError.of("D2F004", f"features cannot be kept in '{path}': {error}") from error

    def read(self, keys: list[bytes]) -> dict[bytes, Features]:
        """Return those that are known."""
        import numpy as np

        marks = ",".join("?" * len(keys))
        with self._lock:
            rows = self._file.execute(f"SELECT key, row FROM features WHERE key IN ({marks})", keys).fetchall()
        return {key: np.frombuffer(row, dtype="<f4") for key, row in rows}

    def write(self, rows: dict[bytes, Features]) -> None:
        """Keep rows of float32.

        Raises
        ------
        D2FError
            D2F004: the disk is full.
        """
        held = [(key, row.astype("<f4").tobytes()) for key, row in rows.items()]
        try:
            with self._lock, self._file:
                self._file.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", held)
        except sqlite3.Error as error:
            raise D2FError.of("D2F004", f"features cannot be kept in '{self._path}': {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _key(model: str, picture: NDArray[np.uint8]) -> bytes:
    shape = "x".join(map(str, picture.shape))
    digest = hashlib.blake2b(f"{model}\n{shape}\n".encode(), digest_size=16)
    digest.update(picture.tobytes())
    return digest.digest()
