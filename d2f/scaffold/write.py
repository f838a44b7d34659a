"""A new distribution written to disk; nothing that is there is touched."""

from __future__ import annotations

from pathlib import Path

from d2f.api.errors import D2FError
from d2f.scaffold.names import Names
from d2f.scaffold.templates import filled

SCAFFOLDS = ("detector", "preprocessor", "combiner", "calibrator")
"""Kinds of stage that there is a template for."""

LEARNED = "learned"


def new_plugin(names: Names, kind: str, learned: bool, into: Path) -> tuple[Path, tuple[str, ...]]:
    """Write a small, complete distribution.

    Parameters
    ----------
    names : Names
    kind : str
        One of `SCAFFOLDS`.
    learned : bool
        Whether the stage has weights that `d2f train` makes; detectors only.
    into : Path
        The folder in which the distribution's own is made.

    Returns
    -------
    folder : Path
    files : tuple of str
        Paths within it, with ``/``, sorted.

    Raises
    ------
    D2FError
        D2F001: only detectors are learned. D2F004: the folder holds something already, or cannot be written.
    """
    if learned and kind != "detector":
        raise D2FError.of("D2F001", f"--learned is for detectors, not for a {kind}", "leave one of them out")
    folder = into / names.distribution
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise D2FError.of(
            "D2F004", f"'{folder}' is there already", "nothing was written; --into DIR names another place"
        )
    made = filled((LEARNED,) if learned else (kind,), names)
    try:
        for path, data in made.items():
            _write(folder / path, data)
    except OSError as error:
        raise D2FError.of("D2F004", f"'{folder}' cannot be written: {error.strerror}") from error
    return folder, tuple(made)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(data)
