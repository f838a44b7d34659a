"""Addresses written into the import slots of a loaded library, and taken back."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

PROT_READ, PROT_WRITE = 1, 2
MAPPINGS = Path("/proc/self/maps")


def point_slots(targets: Mapping[int, int]) -> dict[int, int]:
    """Write an address into each slot and return what was there, so that the same call undoes it.

    Parameters
    ----------
    targets : mapping of slot address to function address

    Raises
    ------
    OSError
        If a page cannot be made writable; no slot is changed then.
    """
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
