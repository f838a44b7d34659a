"""Images found in folders and by globs, and a count of what was passed over."""

from __future__ import annotations

import heapq
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from hashlib import blake2b
from typing import Literal, TypeAlias

from d2f.files import is_url
from d2f.images.formats import RAW_SUFFIXES, SUFFIXES, sniff
from d2f.images.sources import SourceError, bytes_elsewhere, member_of

AT_ONCE = 65_536
"""How many names of one folder are held at a time; a larger folder is read again for the next ones."""

MOST_KINDS = 100
OTHER_KINDS = "of other endings"
FIRST_BYTES = 512
"""How much of a file is read to see whether it is an image; the brands of an AVIF or HEIF file lie within."""

Entry: TypeAlias = tuple[str, bool]
"""A name and whether it is a folder (or a link to one)."""


@dataclass(slots=True)
class Listing:
    """What a search for images has met besides them; one for a whole run, filled while the images are taken.

    Parameters
    ----------
    all_files : bool
        Whether every visible file of a folder is taken, whatever its ending and its first bytes.
    null : bool
        Whether paths on standard input end in a NUL instead of a line end.
    shared : bool
        Whether several searches fill it, one after the other.
    passed_over : Counter
        How many files were not taken, by ending (``.jxl``), or ``without ending``, ``hidden``, ``that cannot be read``.
    repeated : int
        How many images were named again and left out: each is judged once.
    notes : list of str
        Arguments that were understood otherwise than their ending suggests.
    outputs : frozenset of str
        Locations of what the run itself writes; `all_files` takes them no more than a search by ending does.
    met_again : int
        How often an image or a folder was met that had been met before.
    """

    all_files: bool = False
    null: bool = False
    shared: bool = False
    passed_over: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    notes: list[str] = field(default_factory=list)
    outputs: frozenset[str] = frozenset()
    met_again: int = 0
    # Folders by (device, inode). Files by digest; None where no file can be met twice.
    _folders: set[tuple[int, int]] = field(default_factory=set)
    _met: set[bytes] | None = field(default_factory=set)

    def lines(self) -> list[str]:
        """Return what a person should know about the search, a line each."""
        lines = list(self.notes)
        if self.passed_over:
            ordered = sorted(self.passed_over.items(), key=lambda kind: (-kind[1], kind[0]))
            total = self.passed_over.total()
            kinds = ", ".join(f"{count} {kind}" for kind, count in ordered)
            lines.append(f"{total} {'file' if total == 1 else 'files'} passed over: {kinds}")
        if self.repeated:
            lines.append(
                f"{self.repeated} {'image was' if self.repeated == 1 else 'images were'} named twice and taken once"
            )
        return lines

    def only_folder(self) -> None:
        """Expect one folder and nothing else: its files are met once, since each folder is entered once."""
        self._met = None

    def enter(self, folder: str) -> bool:
        """Whether a folder was not walked before in this run, by any path; a folder of no identity counts as new."""
        try:
            status = os.stat(folder)
        except OSError:
            return True
        identity = (status.st_dev, status.st_ino)
        new = identity not in self._folders
        self.met_again += not new
        self._folders.add(identity)
        return new

    def once(self, paths: Iterator[str]) -> Iterator[str]:
        """Yield the paths that were not met before, however they are spelled; count the others."""
        for path in paths:
            if self._is_new(path):
                yield path
            else:
                self.repeated += 1
                self.met_again += 1

    def pass_over(self, path: str, kind: str) -> None:
        """Count a file that is not taken."""
        if not self._is_new(f"{path}\0"):
            return
        if kind not in self.passed_over and len(self.passed_over) >= MOST_KINDS:
            kind = OTHER_KINDS
        self.passed_over[kind] += 1

    def takes(self, path: str) -> bool:
        """Whether a file that a search has met is taken; what is not is counted.

        Taken are files whose ending is that of an image, and others whose first bytes are of a format that d2f reads,
        save those that bear the ending of a camera raw: such files hold a preview.
        """
        if self.all_files:
            return not self.outputs or location(path) not in self.outputs
        ending = os.path.splitext(path)[1].lower()
        if ending in SUFFIXES:
            return True
        kind = ending or "without ending"
        if ending not in RAW_SUFFIXES:
            try:
                start = _first_bytes(path)
            except OSError:
                start, kind = b"", "that cannot be read"
            if sniff(start) is not None:
                return True
        self.pass_over(path, kind)
        return False

    def _is_new(self, path: str) -> bool:
        if self._met is None:
            return True
        key = blake2b(os.fsencode(location(path)), digest_size=16).digest()
        new = key not in self._met
        self._met.add(key)
        return new


def location(path: str) -> str:
    """Return a file's absolute path with the links of its folder resolved: one spelling for each file name.

    Of a member of an archive, that of the archive; a name in a store is returned as it is.
    """
    if is_url(path):
        return path
    if (found := member_of(path)) is not None:
        return f"{location(found[0])}!{found[1]}"
    folder, name = os.path.split(path)
    try:
        return os.path.join(os.path.realpath(folder or os.curdir), name)
    except (OSError, ValueError):  # a working folder that is gone; a NUL
        return path


def _first_bytes(path: str) -> bytes:
    """Return the beginning of a regular file, nothing of any other: a pipe would be waited for."""
    try:
        data = bytes_elsewhere(path, FIRST_BYTES, partly=True)
    except SourceError as error:
        raise OSError(error.message) from None
    if data is not None:
        return data
    if not stat.S_ISREG(os.stat(path).st_mode):
        return b""
    with open(path, "rb") as file:
        return file.read(FIRST_BYTES)


def walk(folder: str, listing: Listing | None = None) -> Iterator[str]:
    """Yield the images below a folder, depth first, in the order of names; `Listing.takes` says which files are.

    Names that begin with a dot are left out. Links are followed; a folder is walked once in a run, whatever leads to
    it. A folder that cannot be listed is yielded itself, so that the loss is seen as a row with an error.
    """
    listing = listing if listing is not None else Listing()
    if not listing.enter(folder):
        return
    levels = [(folder, entries(folder, listing=listing))]
    while levels:
        here, names = levels[-1]
        try:
            name, is_folder = next(names, (None, False))
        except OSError:
            levels.pop()
            yield here
            continue
        if name is None:
            levels.pop()
            continue
        path = os.path.join(here, name)
        if is_folder:
            if listing.enter(path):
                levels.append((path, entries(path, listing=listing)))
        elif listing.takes(path):
            yield path


def entries(folder: str, at_once: int = AT_ONCE, listing: Listing | None = None) -> Iterator[Entry]:
    """Yield a folder's visible names in order, each with whether it is a folder; `listing` counts hidden ones."""
    last = ""
    while True:
        with os.scandir(folder) as found:
            counted = listing if not last else None
            later = ((entry.name, _is_folder(entry)) for entry in _visible(found, counted) if entry.name > last)
            part = heapq.nsmallest(at_once, later)
        yield from part
        if len(part) < at_once:
            return
        last = part[-1][0]


def _visible(found: Iterator[os.DirEntry[str]], listing: Listing | None) -> Iterator[os.DirEntry[str]]:
    for entry in found:
        if not entry.name.startswith("."):
            yield entry
        elif listing is not None:
            listing.pass_over(entry.path, "hidden")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


_MAGIC = re.compile(r"[*?\[]")
Match: TypeAlias = tuple[str, Literal["file", "folder", "unread"]]
"""A path that a pattern has met; ``unread`` is a folder that cannot be listed."""


def is_glob(path: str) -> bool:
    """Whether a path holds a wildcard."""
    return _MAGIC.search(path) is not None


def match(pattern: str, listing: Listing | None = None) -> Iterator[str]:
    """Yield the images that a pattern matches.

    A pattern that names a suffix (``*.dat``) takes every file that it matches, another one what `Listing.takes`.
    A folder that it matches is walked, unless ``**`` reaches into it anyway. A wildcard matches no leading dot. A
    folder that cannot be listed is yielded itself, as by `walk`.
    """
    listing = listing if listing is not None else Listing()
    parts = pattern.split(os.sep)
    fixed = next(index for index, part in enumerate(parts) if is_glob(part))
    base = os.sep.join(parts[:fixed]) + (os.sep if fixed else "")
    parts = [part for part in parts[fixed:] if part]
    any_suffix = bool(re.search(r"\.\w+$", parts[-1]))
    for path, kind in _match(base, parts):
        if kind == "folder":
            if "**" not in parts:
                yield from walk(path, listing)
        elif kind == "unread" or any_suffix or listing.takes(path):
            yield path


def _match(base: str, parts: list[str]) -> Iterator[Match]:
    """Yield what `parts` match below `base`, which is empty or ends in a separator."""
    first, rest = parts[0], parts[1:]
    if first == "**":
        yield from _match_any_depth(base, rest or ["*"])
        return
    wanted = re.compile(translate(first)).fullmatch
    for path, kind in _listed(base):
        if kind == "unread":
            yield path, kind
        elif wanted(path[len(base) :]):
            if not rest:
                yield path, kind
            elif kind == "folder":
                yield from _match(path + os.sep, rest)


def _match_any_depth(base: str, rest: list[str]) -> Iterator[Match]:
    yield from _match(base, rest)
    for path, kind in _listed(base):
        # A link to a folder could lead back up; `**` goes down real folders only. What is unread was yielded above.
        if kind == "folder" and not os.path.islink(path):
            yield from _match_any_depth(path + os.sep, rest)


def _listed(base: str) -> Iterator[Match]:
    try:
        for name, is_folder in entries(base or os.curdir):
            yield base + name, "folder" if is_folder else "file"
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        yield base.rstrip(os.sep) or base or os.curdir, "unread"
