"""Weights of a cross-validation, kept in a folder: each file fitted without one fold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.weights import read_weights, short_digests, write_weights

NAME = re.compile(r"fold-[1-9][0-9]*\.safetensors")
WITHOUT = "without_fold"
"""What such a file alone says of itself: the fold that it was fitted without, from 1."""


def fold_file(folder: Path, number: int) -> Path:
    """Return the file of the weights that were fitted without a fold, counted from 0."""
    return folder / f"fold-{number + 1}.safetensors"


def keep_fold(
    folder: Path, number: int, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, str], digests: Iterable[str]
) -> None:
    """Write the weights that were fitted without a fold.

    Parameters
    ----------
    folder : Path
    number : int
        The fold that was left out, from 0.
    arrays : mapping of str to numpy.ndarray
    facts : mapping of str to str
        What the file says of itself.
    digests : iterable of str
        sha256 of each image that was fitted to.

    Raises
    ------
    D2FError
        D2F004: the file cannot be written.
    """
    more = {**facts, WITHOUT: str(number + 1)}
    write_weights(fold_file(folder, number), arrays, more, short_digests(digests))


def clear_folds(folder: Path) -> None:
    """Remove what an earlier run kept, which may have had more folds; other files stay.

    Raises
    ------
    D2FError
        D2F004: a file cannot be removed.
    """
    for path in sorted(folder.iterdir()):
        if NAME.fullmatch(path.name) and _kept(path):
            try:
                path.unlink()
            except OSError as error:
                raise D2FError.of("D2F004", f"'{path}' cannot be removed: {error.strerror}") from error


def need_another(output: Path, folder: Path) -> None:
    """Refuse a weights file that stands where a fold's are kept.

    Raises
    ------
    D2FError
        D2F004.
    """
    if NAME.fullmatch(output.name) and output.parent.resolve() == folder.resolve():
        raise D2FError.of("D2F004", f"'{output}' is where the weights of a fold are kept", "name another file with -o")


def _kept(path: Path) -> bool:
    try:
        return WITHOUT in read_weights(path).metadata
    except (D2FError, OSError):
        return False
