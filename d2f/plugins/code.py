"""The code that a stage runs, as a digest: what keeps results must not outlive a change of it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

CODE = (".py", ".so", ".pyd")


def code_digest(stage: object) -> str | None:
    """Return a sha256 over the code of the top-level package that a stage's class comes from.

    Parameters
    ----------
    stage : object
        A stage, or its class.

    Returns
    -------
    str or None
        64 hexadecimal digits; None where there is no file, as for a class typed at a prompt.
    """
    made_by = stage if isinstance(stage, type) else type(stage)
    return _digest(made_by.__module__.partition(".")[0])


@cache
def _digest(package: str) -> str | None:
    files = list(_files(package))
    if not files:
        return None
    digest = hashlib.sha256()
    for name, path in sorted(files):
        digest.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _files(package: str) -> Iterator[tuple[str, Path]]:
    """Yield the package's files of code, each with its path inside the package."""
    module = sys.modules.get(package)
    folders = list(getattr(module, "__path__", ()))
    for folder in map(Path, folders):
        yield from ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.suffix in CODE)
    alone = Path(getattr(module, "__file__", None) or "")
    if not folders and alone.is_file():
        yield alone.name, alone
