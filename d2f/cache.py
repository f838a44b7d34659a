"""One store of expensive results: features, scores and tables, found by a key of everything that they depend on.

`--cache DIR` opens it (`caching`). A key (`key_of`) names d2f's version, the code of the stages, the versions of the
numerical libraries and what its caller adds (image, protocol, attack, view, options, weights, precision), so that an
entry is either the same result or is not found. Nothing is ever wrong for being old; the folder may be deleted.
"""

from __future__ import annotations

import hashlib
import io
import platform
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from d2f.api.errors import D2FError
from d2f.files import cannot_write, explained, file_lock, write_whole
from d2f.plugins.catalog import canonical, code_digest
from d2f.version import __version__

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Features: TypeAlias = NDArray[np.float32]

ROWS = "rows.sqlite"
AT_ONCE = 10_000
COMPUTING = ("numpy", "scipy", "scikit-learn", "pillow", "pillow-heif", "onnxruntime", "torch", "transformers")
"""Distributions on whose version numbers depend, besides every one whose name begins with ``mlx``."""

_open: Cache | None = None


class Cache:
    """A folder of results: small rows in one SQLite file, named arrays in a file each; safe for several processes."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock = threading.Lock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._explained(), file_lock(self.folder / ROWS):
                self._file = sqlite3.connect(self.folder / ROWS, timeout=60, check_same_thread=False)
                try:
                    self._file.execute("PRAGMA journal_mode=WAL")
                    self._file.execute("PRAGMA synchronous=NORMAL")
                    self._file.execute(
                        "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
                    )
                except sqlite3.Error:
                    self._file.close()
                    raise
        except OSError as error:
            raise cannot_write(folder, error, "choose another folder with --cache") from error

    def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the values of those keys that are known."""
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), AT_ONCE):
            part = keys[start : start + AT_ONCE]
            marks = ",".join("?" * len(part))
            with self._explained(), self._lock:
                found.update(self._file.execute(f"SELECT key, value FROM rows WHERE key IN ({marks})", part).fetchall())
        return found

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        """Store rows, all of them or, where the process is killed, none; D2F004 where the disk is full."""
        with self._explained(), self._lock, self._file:
            self._file.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", list(rows.items()))

    def arrays(self, key: bytes) -> dict[str, NDArray[Any]] | None:
        """Return the named arrays stored under a key; None where there are none, or the file is damaged."""
        import zipfile

        import numpy as np

        try:
            with np.load(io.BytesIO(self._place(key).read_bytes()), allow_pickle=False) as held:
                return {name: held[name] for name in held.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def store_arrays(self, key: bytes, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Store named arrays in a file of their own, whole or not at all."""
        import numpy as np

        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        with explained(self.folder):
            write_whole(self._place(key), buffer.getvalue())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _place(self, key: bytes) -> Path:
        return self.folder / f"{key.hex()}.npz"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise D2FError.of("D2F004", f"the cache '{self.folder}' cannot be used: {error}") from error


@contextmanager
def caching(folder: str | Path | None) -> Iterator[Cache | None]:
    """Use a folder as the process's cache while this context is open; None caches nothing.

    Raises
    ------
    D2FError
        D2F004 where the folder cannot be made or written to.
    """
    global _open
    before, opened = _open, None if folder is None else Cache(folder)
    _open = opened
    try:
        yield opened
    finally:
        _open = before
        if opened is not None:
            opened.close()


def features(model: str, batch: NDArray[np.uint8], compute: Callable[[NDArray[np.uint8]], Features]) -> Features:
    """Return the features of a batch of pictures, computed or, within `caching`, read back.

    A detector that looks at pictures through a large network asks for its features here, so that a new head over the
    same network costs seconds.

    Parameters
    ----------
    model : str
        What computes them: digest of the weights, blocks, precision, everything that the features depend on but the
        pixels and the code of `compute`, whose package's digest is part of the key.
    batch : numpy.ndarray, shape (n, height, width, 3), uint8
    compute : callable
        From m pictures, those that are not known, shape (m, height, width, 3), to features of shape (m, d), float32,
        each picture's the same whatever the others are.

    Returns
    -------
    numpy.ndarray, shape (n, d), float32
    """
    import numpy as np

    about = key_of("features", model, code=(compute,)) if _open is not None else None
    if _open is None or about is None:
        return compute(batch)
    keys = [_picture_key(about, picture) for picture in batch]
    known = {key: np.frombuffer(row, dtype="<f4") for key, row in _open.read(keys).items()}
    missing = [place for place, key in enumerate(keys) if key not in known]
    if missing:
        found = np.asarray(compute(batch[missing]), dtype="<f4")
        fresh = {keys[place]: row for place, row in zip(missing, found, strict=True)}
        _open.write({key: row.tobytes() for key, row in fresh.items()})
        known |= fresh
    return np.stack([known[key] for key in keys])


def key_of(*facts: Any, code: Iterable[object] = ()) -> bytes | None:
    """Return a key of 16 bytes over plain facts, the code of stages or functions, d2f's version and the environment.

    None where a piece of `code` has no file that could be digested, such as a class made in an interpreter: what it
    computes must not be stored.
    """
    digests = [stage_code(each) for each in code]
    if None in digests:
        return None
    text = canonical([__version__, environment(), digests, list(facts)])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def stage_code(stage: object) -> list[str] | None:
    """Return a stage's or function's package, its distribution's version and its code's digest; None without code."""
    package, digest = stage.__module__.partition(".")[0], code_digest(stage)
    return None if digest is None else [package, *_versions(package), digest]


@cache
def pipeline_code() -> str:
    """Return a digest of d2f's own code between a file and its scores: decoding, protocols, the engine, networks."""
    root = Path(__file__).parent
    parts = ("engine", "images", "data/protocol.py", "framing.py", "layers.py", "mlx_cpu", "models")
    files = sorted(file for part in parts for file in [root / part, *(root / part).rglob("*.py")] if file.is_file())
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def environment() -> list[str]:
    """Return the machine and the versions of the libraries that compute, on which numbers depend."""
    return list(_environment())


@cache
def _environment() -> tuple[str, ...]:
    found = {each.name.lower(): each.version for each in metadata.distributions() if each.name}
    named = (name for name in found if name in COMPUTING or name.startswith("mlx"))
    return (platform.system(), platform.machine(), *(f"{name} {found[name]}" for name in sorted(named)))


@cache
def _versions(package: str) -> tuple[str, ...]:
    return tuple(f"{name} {metadata.version(name)}" for name in sorted(set(_distributions().get(package, ()))))


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _picture_key(about: bytes, picture: NDArray[np.uint8]) -> bytes:
    shape = "x".join(map(str, picture.shape))
    digest = hashlib.blake2b(about + f"\n{shape}\n".encode(), digest_size=16)
    digest.update(picture.tobytes())
    return digest.digest()
