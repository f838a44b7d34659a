"""Objects in stores: read in blocks, and found below a prefix or by a pattern."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from fnmatch import translate
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError
from d2f.files import file_system, said
from d2f.images.sources import SourceError
from d2f.images.walk import Listing, is_glob

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

BLOCK = 4 * 2**20
BLOCKS = 16
"""Bytes a request, and how many such blocks of one object are held."""


class StoreFile:
    """An object of a store, read in blocks that are held for a while; a `Source`."""

    def __init__(self, url: str) -> None:
        system, path = file_system(url)
        try:
            self._file = system.open_input_file(path)
            self.size: int | None = self._file.size()
        except FileNotFoundError:
            raise SourceError("D2F301", "no such object") from None
        except OSError as error:
            raise SourceError("D2F301", said(error)) from None
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return the bytes there; fewer at the end."""
        end = min(offset + size, self.size or 0)
        with self._lock:
            if end - offset > BLOCK:
                return self._request(offset, end - offset)
            numbers = range(offset // BLOCK, -(-end // BLOCK))
            data = b"".join(self._block(number) for number in numbers)
        start = offset - (offset // BLOCK) * BLOCK
        return data[start : start + max(0, end - offset)]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._blocks[number] = self._request(number * BLOCK, BLOCK)
        self._blocks.move_to_end(number)
        while len(self._blocks) > BLOCKS:
            self._blocks.popitem(last=False)
        return self._blocks[number]

    def _request(self, offset: int, size: int) -> bytes:
        try:
            self._file.seek(offset)
            return bytes(self._file.read(min(size, (self.size or 0) - offset)))
        except OSError as error:
            raise SourceError("D2F301", said(error)) from None


def objects(url: str, listing: Listing) -> Iterator[str]:
    """Yield what a URL names: an object, the images below a prefix, or those that a pattern matches, by name.

    A folder's names are held while it is walked; one that cannot be listed is yielded itself.
    """
    from pyarrow.fs import FileType

    system, path = file_system(url)
    prefix = url[: len(url) - len(path)] if url.endswith(path) else url.partition("://")[0] + "://"
    try:
        info = system.get_file_info(path.rstrip("/"))
    except OSError as error:
        raise D2FError.of("D2F002", f"{url!r} cannot be looked up: {said(error)}") from None
    if info.type == FileType.File:
        yield url
    elif info.type == FileType.Directory:
        for found in _below(system, path.rstrip("/"), prefix, listing):
            if listing.takes(prefix + found):
                yield prefix + found
    elif is_glob(path):
        yield from _matched(system, path, prefix, listing)
    else:
        raise D2FError.of("D2F002", f"{url!r} not found")


def _matched(system: FileSystem, path: str, prefix: str, listing: Listing) -> Iterator[str]:
    parts = path.split("/")
    fixed = next(number for number, part in enumerate(parts) if is_glob(part))
    base, wanted = "/".join(parts[:fixed]), [re.compile(translate(part)).fullmatch for part in parts[fixed:]]
    depth = None if "**" in parts else len(parts)
    any_suffix = re.search(r"\.\w+$", path) is not None
    for found in _below(system, base, prefix, listing, depth):
        matches = _matches(parts[fixed:], wanted, found.split("/")[fixed:])
        if matches and (any_suffix or listing.takes(prefix + found)):
            yield prefix + found


def _matches(parts: list[str], wanted: list[Any], names: list[str]) -> bool:
    """Whether names from folder to file match the parts of a pattern; ``**`` stands for any number of them."""
    if not parts or not names:
        return not parts and not names
    if parts[0] == "**" and len(parts) > 1:
        return any(_matches(parts[1:], wanted[1:], names[start:]) for start in range(len(names)))
    return bool(wanted[0](names[0])) and (_matches(parts[1:], wanted[1:], names[1:]) or parts == ["**"])


def _below(system: FileSystem, folder: str, prefix: str, listing: Listing, depth: int | None = None) -> Iterator[str]:
    """Yield the visible files below a folder, depth first, in the order of names; no deeper than `depth` names."""
    from pyarrow.fs import FileSelector, FileType

    waiting = [folder]
    levels: list[Iterator[FileInfo]] = []
    while waiting or levels:
        if waiting:
            place = waiting.pop()
            try:
                found = system.get_file_info(FileSelector(place, allow_not_found=True))
                levels.append(iter(sorted(found, key=lambda one: str(one.path))))
            except OSError:
                yield place
            continue
        info = next(levels[-1], None)
        if info is None:
            levels.pop()
        elif info.base_name.startswith("."):
            listing.pass_over(prefix + info.path, "hidden")
        elif info.type == FileType.Directory and (depth is None or len(info.path.split("/")) < depth):
            waiting.append(info.path)
        elif info.type == FileType.File:
            yield info.path
