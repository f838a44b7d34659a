"""Import slots of a loaded ELF library: found by function name, written, and taken back."""

from __future__ import annotations

import ctypes
import os
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PT_DYNAMIC = 2
DT_NULL, DT_NEEDED, DT_PLTRELSZ, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_JMPREL = 0, 1, 2, 5, 6, 7, 8, 23
SLOT_RELOCATIONS: Mapping[str, tuple[int, int]] = {"x86_64": (6, 7), "aarch64": (1025, 1026)}
"""Relocation types GLOB_DAT and JUMP_SLOT by machine."""

RELOCATION = struct.Struct("<QQq")
SYMBOL_BYTES = 24


@dataclass(frozen=True)
class Library:
    """A shared library in this process."""

    path: str
    base: int
    dynamic: int


class _ProgramHeader(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("offset", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("physical", ctypes.c_uint64),
        ("file_size", ctypes.c_uint64),
        ("memory_size", ctypes.c_uint64),
        ("alignment", ctypes.c_uint64),
    )


class _LoadedObject(ctypes.Structure):
    _fields_ = (
        ("base", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.POINTER(_ProgramHeader)),
        ("header_count", ctypes.c_uint16),
    )


def loaded_library(file_name: str) -> Library | None:
    """Return the library of this file name if the process has loaded it."""
    found: list[Library] = []

    def look(entry: ctypes._Pointer[_LoadedObject], _size: int, _data: int) -> int:
        path = os.fsdecode(entry.contents.name or b"")
        if os.path.basename(path) != file_name:
            return 0
        headers = entry.contents.headers[: entry.contents.header_count]
        base = entry.contents.base
        found.extend(Library(path, base, base + h.address) for h in headers if h.type == PT_DYNAMIC)
        return 1

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_LoadedObject), ctypes.c_size_t, ctypes.c_void_p)
    ctypes.CDLL(None).dl_iterate_phdr(callback(look), None)
    return found[0] if found else None


def needed(library: Library) -> tuple[str, ...]:
    """Return the file names of the libraries that this one asks for."""
    tags = _tags(library)
    return tuple(_text(library, tags, offset) for offset in tags[DT_NEEDED])


def import_slots(library: Library, machine: str) -> dict[str, tuple[int, ...]]:
    """Return the addresses of the slots of each imported function, by the function's name."""
    tags = _tags(library)
    symbols = _address(library, tags[DT_SYMTAB][0])
    slots: dict[str, tuple[int, ...]] = defaultdict(tuple)
    for offset, information, _addend in _relocations(library, tags):
        if information & 0xFFFFFFFF not in SLOT_RELOCATIONS[machine]:
            continue
        symbol = symbols + SYMBOL_BYTES * (information >> 32)
        name = _text(library, tags, ctypes.c_uint32.from_address(symbol).value)
        slots[name] += (library.base + offset,)
    return dict(slots)


def _tags(library: Library) -> dict[int, list[int]]:
    tags: dict[int, list[int]] = defaultdict(list)
    address = library.dynamic
    while (tag := ctypes.c_int64.from_address(address).value) != DT_NULL:
        tags[tag].append(ctypes.c_uint64.from_address(address + 8).value)
        address += 16
    return tags


def _address(library: Library, value: int) -> int:
    # glibc has made these absolute, musl has not.
    return value if value >= library.base else library.base + value


def _text(library: Library, tags: Mapping[int, list[int]], offset: int) -> str:
    return ctypes.string_at(_address(library, tags[DT_STRTAB][0]) + offset).decode()


def _relocations(library: Library, tags: Mapping[int, list[int]]) -> Iterator[tuple[int, int, int]]:
    for table, size in ((DT_JMPREL, DT_PLTRELSZ), (DT_RELA, DT_RELASZ)):
        if tags.get(table) and tags.get(size):
            raw = ctypes.string_at(_address(library, tags[table][0]), tags[size][0])
            yield from RELOCATION.iter_unpack(raw)


PROT_READ, PROT_WRITE = 1, 2
MAPPINGS = Path("/proc/self/maps")


def point_slots(targets: Mapping[int, int]) -> dict[int, int]:
    """Write an address into each slot and return what was there, so that the same call undoes it."""
    pages = _locked_pages(targets)
    try:
        _protect(pages, PROT_READ | PROT_WRITE)
        before = {slot: read_slot(slot) for slot in targets}
        for slot, target in targets.items():
            # Eight aligned bytes: another thread sees the old address or the new one.
            ctypes.c_uint64.from_address(slot).value = target
    finally:
        _protect(pages, PROT_READ)
    return before


def read_slot(slot: int) -> int:
    """Return the function address that a slot holds."""
    return ctypes.c_uint64.from_address(slot).value


def _locked_pages(slots: Iterable[int]) -> list[int]:
    """Return the slots' pages that the dynamic linker has made read-only (RELRO)."""
    size = os.sysconf("SC_PAGESIZE")
    writable = _writable_spans()
    pages = sorted({slot // size * size for slot in slots})
    return [page for page in pages if not any(start <= page < end for start, end in writable)]


def _writable_spans() -> list[tuple[int, int]]:
    spans = []
    for line in MAPPINGS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        span, rights, _ = line.split(" ", 2)
        if "w" in rights:
            start, end = span.split("-")
            spans.append((int(start, 16), int(end, 16)))
    return spans


def _protect(pages: Iterable[int], rights: int) -> None:
    process = ctypes.CDLL(None, use_errno=True)
    size = ctypes.c_size_t(os.sysconf("SC_PAGESIZE"))
    for page in pages:
        if process.mprotect(ctypes.c_void_p(page), size, ctypes.c_int(rights)):
            raise OSError(ctypes.get_errno(), "the page of an import slot cannot be changed")
