"""Globs matched folder by folder, lazily and in the order of names, as `folders` walks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import translate

from d2f.reading.folders import entries, has_image_suffix, walk

_MAGIC = re.compile(r"[*?\[]")


def is_glob(path: str) -> bool:
    """Whether a path holds a wildcard."""
    return _MAGIC.search(path) is not None


def match(pattern: str) -> Iterator[str]:
    """Yield the images that a pattern matches.

    A pattern that names a suffix (``*.dat``) takes every file that it matches, another one those of a
    known suffix. A folder that it matches is walked, unless ``**`` reaches into it anyway. A wildcard
    matches no leading dot.
    """
    parts = pattern.split(os.sep)
    fixed = next(index for index, part in enumerate(parts) if is_glob(part))
    base = os.sep.join(parts[:fixed]) + (os.sep if fixed else "")
    parts = [part for part in parts[fixed:] if part]
    any_suffix = bool(re.search(r"\.\w+$", parts[-1]))
    for path, is_folder in _match(base, parts):
        if not is_folder:
            if any_suffix or has_image_suffix(path):
                yield path
        elif "**" not in parts:
            yield from walk(path)


def _match(base: str, parts: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield what `parts` match below `base`, which is empty or ends in a separator."""
    first, rest = parts[0], parts[1:]
    if first == "**":
        yield from _match_any_depth(base, rest or ["*"])
        return
    wanted = re.compile(translate(first)).fullmatch
    for name, is_folder in _listed(base):
        if not wanted(name):
            continue
        if not rest:
            yield base + name, is_folder
        elif is_folder:
            yield from _match(base + name + os.sep, rest)


def _match_any_depth(base: str, rest: list[str]) -> Iterator[tuple[str, bool]]:
    yield from _match(base, rest)
    for name, is_folder in _listed(base):
        # A link to a folder could lead back up; `**` goes down real folders only.
        if is_folder and not os.path.islink(base + name):
            yield from _match_any_depth(base + name + os.sep, rest)


def _listed(base: str) -> Iterator[tuple[str, bool]]:
    try:
        yield from entries(base or os.curdir)
    except OSError:
        return
