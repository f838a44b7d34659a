"""The containers of PyTorch checkpoints: a zip archive since version 1.6, a row of pickles before.

The archive holds ``NAME/data.pkl``, each storage as ``NAME/data/KEY`` and, in later versions, ``NAME/byteorder``.
The row is a magic number, a version, facts on the machine, the checkpoint and the storages' keys, each pickled, then
of each storage its length (8 bytes) and its numbers.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

from d2f.weights.torch_pickle import Pickled, Refused, Storage, interpret

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Storages = dict[str, NDArray[Any]]

DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "u1",
}
"""Of each storage type the dtype that its bytes are read as."""

ZIP = b"PK"
PICKLE = b"\x80"
MAGIC = 0x1950A86A20F9469CFC6C
"""The number that a row of pickles begins with."""

TAR = b"ustar"
LONGEST_PICKLE = 64 * 2**20
"""Bytes; that of a network of a thousand layers has less than one."""


def opened(data: bytes) -> tuple[Any, Storages]:
    """Return what a checkpoint describes, and the numbers of its storages by key.

    Raises
    ------
    Refused, zipfile.BadZipFile, RuntimeError
        It is none, is damaged, or holds more than tensors and plain values.
    """
    if data.startswith(ZIP):
        return _archive(data)
    if data.startswith(PICKLE):
        return _row(data)
    if data[257:262] == TAR:
        raise Refused("it is a tar archive of PyTorch 0.1: load it with a PyTorch before 2.6 and save it again")
    raise Refused("it begins as neither format of PyTorch does")


def _archive(data: bytes) -> tuple[Any, Storages]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        root = _root(members)
        held = interpret(io.BytesIO(archive.read(members[f"{root}data.pkl"])))
        order = f"{root}byteorder"
        big = order in members and members[order].file_size < 10 and archive.read(order) == b"big"
        left, storages = len(data), {}
        for key, storage in held.storages.items():
            info = members.get(f"{root}data/{key}")
            if info is None or info.compress_type != zipfile.ZIP_STORED or info.file_size > left:
                raise Refused(f"storage '{key[:20]}' is missing, compressed or too long")
            left -= info.file_size
            storages[key] = _numbers(storage, archive.read(info), ">" if big else "<")
    return held.value, storages


def _root(members: dict[str, zipfile.ZipInfo]) -> str:
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise Refused("the archive holds no data.pkl")
    if members[pickles[0]].file_size > LONGEST_PICKLE:
        raise Refused(f"its pickle is longer than {LONGEST_PICKLE} bytes")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in members:
        raise Refused("it is a TorchScript program, not a checkpoint")
    return root


def _row(data: bytes) -> tuple[Any, Storages]:
    stream = io.BytesIO(data)
    if interpret(stream).value != MAGIC:
        raise Refused("it is a pickle, but none of PyTorch's")
    _version, facts, held, keys = (interpret(stream) for _ in range(4))
    order = "<" if _is_little(facts) else ">"
    storages: Storages = {}
    for key in keys.value if isinstance(keys.value, list) else ():
        storage = held.storages.get(key) if isinstance(key, str) else None
        if storage is None or key in storages:
            raise Refused("its storages are not those that its tensors name")
        length = int.from_bytes(stream.read(8), "little" if order == "<" else "big")
        if length != storage.length:
            raise Refused(f"storage '{key[:20]}' has another length than named")
        storages[key] = _numbers(storage, stream.read(length * _itemsize(storage)), order)
    if storages.keys() != held.storages.keys():
        raise Refused("a storage is missing")
    return held.value, storages


def _is_little(facts: Pickled) -> bool:
    return not isinstance(facts.value, dict) or facts.value.get("little_endian") is not False


def _itemsize(storage: Storage) -> int:
    if storage.type not in DTYPES:
        raise Refused(f"numbers of kind {storage.type[:30]} are not understood")
    return int(DTYPES[storage.type][1])


def _numbers(storage: Storage, data: bytes, order: str) -> NDArray[Any]:
    import numpy as np

    if len(data) != storage.length * _itemsize(storage):
        raise Refused(f"storage '{storage.key[:20]}' has another length than named")
    return np.frombuffer(data, f"{order}{DTYPES[storage.type]}")
