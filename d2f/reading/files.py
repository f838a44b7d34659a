"""Files found: what a user names on the command line, as paths of images, one by one.

Nothing here opens an image, and nothing grows with the number of files: a path named twice, by an
overlap of folders or in a manifest, is therefore yielded twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain

from d2f.api.errors import D2FError, Problem
from d2f.reading.folders import walk
from d2f.reading.globs import is_glob, match
from d2f.reading.manifests import is_manifest, open_manifest, read_lines

STANDARD_INPUT = "-"
"""Stands for paths on standard input, one a line."""


def find_images(paths: Sequence[str]) -> Iterator[str]:
    """Find images.

    Parameters
    ----------
    paths : sequence of str
        Files (taken whatever their suffix), folders (searched through all levels for known suffixes,
        in the order of names, hidden ones left out), globs (``*``, ``?``, ``[…]``, ``**`` for any number
        of folders), manifests (.csv or .parquet with a column `path`, .txt with a path a line;
        relative paths start at the manifest), or ``-`` for paths on standard input.

    Returns
    -------
    iterator of str
        Lazily, in the order of `paths`. What a manifest or standard input names is passed on
        unchecked: a missing file costs its own row.

    Raises
    ------
    D2FError
        At once, for all of `paths`: D2F002 where a file is not there, D2F605 where a manifest cannot
        be read. D2F003 where no image was found; D2F605 from the iterator where a manifest breaks off.
    """
    problems: list[Problem] = []
    sources: list[Iterator[str]] = []
    for path in paths:
        try:
            sources.append(_open(path))
        except D2FError as error:
            problems += error.problems
    if problems:
        raise D2FError(problems)
    found = chain.from_iterable(sources)
    first = next(found, None)
    if first is None:
        named = ", ".join(repr(path) for path in paths) or "nothing was named"
        raise D2FError.of("D2F003", f"no image was found: {named}")
    return chain((first,), found)


def _open(path: str) -> Iterator[str]:
    if path == STANDARD_INPUT:
        return read_lines()
    if os.path.isdir(path):
        return walk(path)
    if os.path.exists(path):
        return open_manifest(path) if is_manifest(path) else iter((path,))
    if is_glob(path):
        return match(path)
    raise D2FError.of("D2F002", f"{path!r} is not there")
