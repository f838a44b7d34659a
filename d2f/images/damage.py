"""JPEG data that ends early or is broken inside: libjpeg fills the rest in and only warns, which Pillow drops.

libjpeg-turbo is asked again through simplejpeg at an eighth of the size, where it reads every coded block and
reports its warnings.
"""

from __future__ import annotations

import re

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
HUFFMAN_DCT = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive; other processes are not asked (their scaled decoding is not safe)."""
NOT_FRAMES = (0xC4, 0xC8, 0xCC)
HARMLESS = "extraneous bytes before marker"
"""A warning after which every block was decoded as it was coded."""


def frame_header(data: bytes) -> tuple[int, int] | None:
    """Return the coding process (SOFn, 0xC0 to 0xCF) and the bits a sample of a JPEG, None where there is no header."""
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        elif marker in (START_OF_SCAN, END_OF_IMAGE):
            return None
        elif 0xC0 <= marker <= 0xCF and marker not in NOT_FRAMES:
            return marker, data[at + 4]
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def jpeg_warning(data: bytes) -> str | None:
    """Return libjpeg's warning about a JPEG's coded data, None where there is none (or it cannot be asked)."""
    header = frame_header(data)
    if header is None or header[0] not in HUFFMAN_DCT or header[1] != 8:
        return None
    from simplejpeg import decode_jpeg

    try:
        decode_jpeg(data, "GRAY", min_height=1, min_width=1, strict=True)
    except ValueError as error:
        text = str(error)
        if not text.startswith("Corrupt JPEG data"):
            return None
        warning = text.removeprefix("Corrupt JPEG data: ")
        return _hole(data, warning) or warning
    return None


LEAST_HOLE = 64
DECODED_OF_A_HOLE = 16


def _hole(data: bytes, warning: str) -> str | None:
    """Return that a hole was decoded as if it were coded data: what a card or a broken download leaves.

    A run of one byte is a hole where it is longer than the bytes that the decoder had left over: it ate the others.
    """
    if HARMLESS not in warning:
        return None
    words = warning.split()
    left_over, marker = int(words[0]), int(words[-1], 16)
    scan = data.find(bytes((0xFF, START_OF_SCAN)))
    runs = re.finditer(rb"(.)\1{%d,}(?=\xff%b)" % (LEAST_HOLE - 1, re.escape(bytes((marker,)))), data[scan:], re.DOTALL)
    run = max((len(found[0]) for found in runs), default=0)
    least = max(left_over + DECODED_OF_A_HOLE, LEAST_HOLE)
    return f"a run of {run} equal bytes in place of coded data" if run >= least else None
