"""Folders walked in the order of names, in memory that does not grow with them."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator

from d2f.reading.formats import SUFFIXES

AT_ONCE = 65_536
"""How many names of one folder are held at a time; a larger folder is read again for the next ones."""

Entry = tuple[str, bool]
"""A name and whether it is a folder (or a link to one)."""


def walk(folder: str) -> Iterator[str]:
    """Yield the images below a folder by suffix, depth first, in the order of names.

    Names that begin with a dot are left out. Links are followed, except to a folder that holds them.
    A folder that cannot be listed is yielded itself, so that the loss is seen as a row with an error.
    """
    levels = [(folder, _identity(folder), entries(folder))]
    while levels:
        here, _, names = levels[-1]
        try:
            name, is_folder = next(names, (None, False))
        except OSError:
            levels.pop()
            yield here
            continue
        if name is None:
            levels.pop()
        elif is_folder:
            below = os.path.join(here, name)
            identity = _identity(below)
            if all(identity != above for _, above, _ in levels):
                levels.append((below, identity, entries(below)))
        elif has_image_suffix(name):
            yield os.path.join(here, name)


def entries(folder: str, at_once: int = AT_ONCE) -> Iterator[Entry]:
    """Yield a folder's visible names in order, each with whether it is a folder.

    Raises
    ------
    OSError
        Where the folder cannot be listed.
    """
    last = ""
    while True:
        with os.scandir(folder) as listing:
            later = ((entry.name, _is_folder(entry)) for entry in listing if _is_next(entry.name, last))
            part = heapq.nsmallest(at_once, later)
        yield from part
        if len(part) < at_once:
            return
        last = part[-1][0]


def has_image_suffix(name: str) -> bool:
    """Whether a file's suffix is one that d2f picks from folders."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _is_next(name: str, last: str) -> bool:
    return name > last and not name.startswith(".")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _identity(folder: str) -> tuple[int, int]:
    try:
        status = os.stat(folder)
    except OSError:
        return (-1, -1)
    return (status.st_dev, status.st_ino)
