"""Pickles put together by hand, operation by operation, and checkpoints around them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

START, END = b"\x80\x02", b"."


def word(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def whole(number: int) -> bytes:
    data = number.to_bytes((number.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def group(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    return name(module, attribute) + group(*arguments) + b"R"


def storage(key: str, length: int, kind: str = "FloatStorage") -> bytes:
    return group(word("storage"), name("torch", kind), word(key), word("cpu"), whole(length)) + b"Q"


def tensor(
    size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, of: bytes | None = None, length: int = 6
) -> bytes:
    numbers = storage("0", length) if of is None else of
    sizes, strides = group(*map(whole, size)), group(*map(whole, stride))
    hooks = call("collections", "OrderedDict")
    return call("torch._utils", "_rebuild_tensor_v2", numbers, whole(offset), sizes, strides, b"\x89", hooks)


def table(**values: bytes) -> bytes:
    return b"}(" + b"".join(word(key) + value for key, value in values.items()) + b"u"


def checkpoint(
    pickled: bytes, storages: Mapping[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED, **more: bytes
) -> bytes:
    """Return a zip archive as PyTorch writes one; by default its storage 0 holds six float32, 0 to 5."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as archive:
        archive.writestr("archive/data.pkl", START + pickled + END)
        for key, data in (storages if storages is not None else {"0": struct.pack("<6f", *range(6))}).items():
            archive.writestr(f"archive/data/{key}", data)
        for member, data in more.items():
            archive.writestr(f"archive/{member}", data)
    return held.getvalue()
