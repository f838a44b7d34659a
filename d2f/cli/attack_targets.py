"""Where `d2f attack` puts what it makes of each file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from d2f.api.errors import D2FError, Problem
from d2f.cli.attack_formats import FORMATS, by_suffix
from d2f.reading.files import STANDARD_INPUT, find_images
from d2f.reading.manifests import is_manifest

UP = os.pardir + os.sep


def is_one_file(sources: Sequence[str], out: str) -> bool:
    """Whether one file goes to one file, told by the suffix of `out`; else `out` is a folder.

    Raises
    ------
    D2FError
        D2F001: `out` names a format that cannot be written, or one file where several are to go; D2F002: the
        only source is not there; D2F004: `out` is a file where a folder is needed.
    """
    if len(sources) == 1 and not (os.path.exists(sources[0]) or sources[0] == STANDARD_INPUT):
        find_images(sources)
    if os.path.isdir(out) or out.endswith(os.sep):
        return False
    one = len(sources) == 1 and os.path.isfile(sources[0]) and not is_manifest(sources[0])
    suffix = os.path.splitext(out)[1]
    if one and suffix:
        if by_suffix(out) is None:
            known = ", ".join(suffix for format in FORMATS.values() for suffix in format.suffixes)
            note = f"known: {known}; a folder's name may end in {os.sep}"
            raise D2FError.of("D2F001", f"'{out}': files of type '{suffix}' are not written", note)
        return True
    if by_suffix(out) is not None:
        raise D2FError.of("D2F001", f"several images do not go into one file, '{out}'", "name a folder")
    if os.path.exists(out):
        raise D2FError.of("D2F004", f"'{out}' is a file, not a folder", "name a folder")
    return False


def targets(sources: Sequence[str], out: str, suffix: str) -> Iterator[tuple[str, str]]:
    """Pair each image with the file that it becomes below a folder, lazily.

    Parameters
    ----------
    sources : sequence of str
        As `d2f.reading.files.find_images` takes them. What lies below a folder, a glob's fixed part or a
        manifest's folder keeps its place below `out`.
    out : str
        A folder. Where it lies inside a folder that is read, its own files are left out.
    suffix : str
        Of the files that are written.

    Raises
    ------
    D2FError
        What `find_images` raises, for all of `sources` at once; D2F001 where `out` is a folder that is read.
    """
    problems: list[Problem] = []
    found: list[tuple[str, Iterator[str]]] = []
    for source in sources:
        if os.path.isdir(source) and _same(source, out):
            note = "name another folder, which may lie inside"
            problems.append(Problem("D2F001", f"'{out}' is the folder that is read", notes=(note,)))
            continue
        try:
            found.append((_root(source), find_images([source])))
        except D2FError as error:
            problems += error.problems
    if problems:
        raise D2FError(problems)
    return _paired(found, out, suffix)


def _paired(found: list[tuple[str, Iterator[str]]], out: str, suffix: str) -> Iterator[tuple[str, str]]:
    for root, paths in found:
        inside = _below(out, root) is not None and not _same(out, root)
        for path in paths:
            if inside and _below(path, out) is not None:
                continue
            name = _below(path, root) or os.path.basename(path)
            yield path, os.path.join(out, os.path.splitext(name)[0] + suffix)


def _root(source: str) -> str:
    """Return the folder below which what `source` names keeps its place."""
    if source == STANDARD_INPUT:
        return os.curdir
    if os.path.isdir(source):
        return source
    if os.path.exists(source):
        return os.path.dirname(source) or os.curdir
    fixed = re.split(r"[*?\[]", source, maxsplit=1)[0]
    return os.path.dirname(fixed) or os.curdir


def _below(path: str, folder: str) -> str | None:
    """Return `path` as seen from `folder`, None where it does not lie below it."""
    try:
        relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    except ValueError:  # another drive
        return None
    return None if relative == os.pardir or relative.startswith(UP) else relative


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
