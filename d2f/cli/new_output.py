"""Outputs that replace nothing unless asked to."""

from __future__ import annotations

from pathlib import Path


def need_new_file(path: str, overwrite: bool = False) -> Path:
    """Return the path of a file to be written; refuse one that is there, or whose place cannot be."""
    from d2f.api.errors import D2FError

    place = Path(path)
    if place.is_dir():
        raise D2FError.of("D2F004", f"'{path}' is a folder")
    if place.exists() and not overwrite:
        raise D2FError.of("D2F004", f"'{path}' is there already", "to replace it: --overwrite")
    return place


def need_new_folder(path: str) -> Path:
    """Return the path of a folder to be filled; refuse one that holds anything."""
    from d2f.api.errors import D2FError

    place = Path(path)
    if place.is_file() or (place.is_dir() and any(place.iterdir())):
        what = "is a file" if place.is_file() else "is not empty"
        raise D2FError.of("D2F004", f"'{path}' {what}", "name a folder that is empty or not there yet")
    return place
