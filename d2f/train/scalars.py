"""TensorBoard's file of events, written at once and in this thread.

Not by tensorboardX, whose writer is a thread that dies of a full disk unheard, so that whoever waits for it waits for
ever, and which imports all of PyTorch where that is installed.

Sources: framing https://www.tensorflow.org/tutorials/load_data/tfrecord; messages tensorflow/core/util/event.proto and
tensorflow/core/framework/summary.proto; their wire format https://protobuf.dev/programming-guides/encoding; CRC-32C
RFC 3720, appendix B.4.
"""

from __future__ import annotations

import platform
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from d2f.train.measuring import Measured

VARINT, EIGHT_BYTES, TEXT, FOUR_BYTES = 0, 1, 2, 5
"""Wire types."""

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, its bits reversed."""

START = b"\x08\x01"
"""A SessionLog whose status is START: later events of such steps go before what was told of them."""


def event_file(values: Mapping[str, float], step: int, time: float) -> bytes:
    """Return a file that holds scalars of one step."""
    begun = _field(1, EIGHT_BYTES, struct.pack("<d", time))
    at = begun + _field(2, VARINT, _varint(step))
    summary = b"".join(_field(1, TEXT, _value(tag, value)) for tag, value in values.items())
    events = (begun + _field(3, TEXT, b"brain.Event:2"), at + _field(7, TEXT, START), at + _field(5, TEXT, summary))
    return b"".join(map(_record, events))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of bytes.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _record(event: bytes) -> bytes:
    length = struct.pack("<Q", len(event))
    return length + _masked(length) + event + _masked(event)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _value(tag: str, value: float) -> bytes:
    return _field(1, TEXT, tag.encode()) + _field(2, FOUR_BYTES, struct.pack("<f", value))


def _field(number: int, kind: int, data: bytes) -> bytes:
    return _varint(number << 3 | kind) + (_varint(len(data)) if kind == TEXT else b"") + data


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*digits, number))


@cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


SHOWN = ("loss", "accuracy", "balanced_accuracy", "f1", "auc")


def write_scalars(folder: Path, epoch: int, loss: float, rate: float, figures: Measured) -> str:
    """Add an epoch, counted from 1, to ``folder/tensorboard``.

    Each epoch is a file of its own, so that a killed run leaves none open; TensorBoard joins them. They say nothing
    that the log does not, so that a disk without room for them ends no run.
    """
    values = {"training/loss": loss, "training/rate": rate}
    values |= {f"validation/{name}": getattr(figures, name) for name in SHOWN}
    values |= {f"called right/{name}": share for name, share in figures.generators.items()}
    now = time.time()
    file = folder / "tensorboard" / f"events.out.tfevents.{int(now):010}.{platform.node()}.{epoch:05}"
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(event_file(values, epoch, now))
    except OSError as error:
        _remove(file)
        return f"epoch {epoch} is missing from TensorBoard's scalars: {error.strerror}"
    return ""


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        return
