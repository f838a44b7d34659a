"""ONNX files put together by the protobuf encoding's own rules, for tests of what reads them."""

from __future__ import annotations


def varint(value: int) -> bytes:
    value %= 2**64
    digits = [value >> shift & 0x7F for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, shape: tuple[int, ...], kind: int, *parts: bytes) -> bytes:
    return b"".join([*(field(1, size) for size in shape), field(2, kind), *parts, field(8, name)])


def node(operator: str, *inputs: str) -> bytes:
    return b"".join([*(field(1, name) for name in inputs), field(2, "out"), field(4, operator)])


def model(*parts: bytes) -> bytes:
    return field(1, 8) + field(2, "maker") + field(7, b"".join(parts))
