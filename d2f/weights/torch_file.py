"""A reader of PyTorch checkpoints that runs nothing of theirs: whatever is no tensor or plain value is refused.

An unpickler imports what a file names and calls it, which is to run a stranger's program. This one finds three names
only, and each of them makes a description; storages are described too. It is the unpickler in Python, not the one in C,
which reserves memory for any memo that a file numbers and hashes deeply nested keys until the stack overflows.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from d2f.api.errors import D2FError
from d2f.api.inputs import Weights
from d2f.weights.file import checked_bytes
from d2f.weights.sources import user_file_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Storages = dict[str, NDArray[Any]]

DIMENSIONS = 32
"""A tensor has at most as many; NumPy's bound before version 2."""

OPERATIONS = frozenset(
    b"\x80\x95.(N\x88\x89"  # PROTO, FRAME, STOP, MARK, NONE, NEWTRUE, NEWFALSE
    b"JKM\x8aG"  # BININT, BININT1, BININT2, LONG1, BINFLOAT
    b"X\x8c\x8dBC"  # BINUNICODE, SHORT_BINUNICODE, BINUNICODE8, BINBYTES, SHORT_BINBYTES
    b")]}t\x85\x86\x87"  # EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT, TUPLE to TUPLE3
    b"aesuqr\x94hj"  # APPEND(S), SETITEM(S), (LONG_)BINPUT, MEMOIZE, (LONG_)BINGET
    b"c\x93QRb"  # GLOBAL, STACK_GLOBAL, BINPERSID, REDUCE, BUILD
)
"""What PyTorch writes, of the operations of protocols 2 to 4 that ``pickletools`` describes."""

MOST_OPERATIONS = 2_000_000
"""In one pickle: seconds. That of a network of a thousand layers has a tenth of it, its optimiser included."""

KEYS = (str, int)
"""Types of keys; the hash of a deeply nested tuple could overflow the stack."""


DAMAGE = (
    *(ArithmeticError, ValueError, LookupError, TypeError, AttributeError, EOFError, MemoryError),
    *(pickle.UnpicklingError, struct.error),
)
"""What Python's unpickler raises at bytes that are no pickle."""


class CheckpointRefused(ValueError):
    """A pickle that holds more than tensors and plain values, or is damaged."""


@dataclass(frozen=True, slots=True)
class StorageType:
    """The name of a storage's class, such as ``FloatStorage``; never called."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A row of numbers elsewhere in the file: its type, such as ``FloatStorage``, its key and its length."""

    type: str
    key: str
    length: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage, checked to lie inside it; offset and strides count values."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many values it has."""
        return math.prod(self.size)


@dataclass(frozen=True, slots=True)
class Pickled:
    """What a pickle describes, made of plain values and `Tensor`, and the storages that it names, by key."""

    value: Any
    storages: dict[str, Storage]


def interpret(stream: BinaryIO) -> Pickled:
    """Return what a pickle describes, and leave the stream behind its end; what else it holds is refused."""
    unpickler = _Unpickler(stream)
    try:
        return Pickled(unpickler.load(), unpickler.storages)
    except CheckpointRefused:
        raise
    except DAMAGE as error:
        raise CheckpointRefused(f"damaged: {type(error).__name__}") from error


class _Operations(dict[int, Callable[[Any], Any]]):
    """The operations that are carried out, counted."""

    done = 0

    def __getitem__(self, code: int) -> Callable[[Any], Any]:
        self.done += 1
        if self.done > MOST_OPERATIONS:
            raise CheckpointRefused(f"its pickle has more than {MOST_OPERATIONS} operations")
        if code not in self:
            import pickletools

            known = pickletools.code2op.get(chr(code))  # type: ignore[attr-defined]
            name = known.name if known is not None else f"the unknown operation {code}"
            raise CheckpointRefused(f"its pickle uses {name}, which tensors do without")
        return super().__getitem__(code)


_InPython: Any = pickle._Unpickler


class _Unpickler(_InPython):  # type: ignore[misc]
    """Python's unpickler with an allow-list of operations and of names."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, Storage] = {}
        known = {code: run for code, run in _InPython.dispatch.items() if code in OPERATIONS}
        own = {b"R": _Unpickler._call, b"b": _Unpickler._drop_state, b"s": _Unpickler._set, b"u": _Unpickler._set_many}
        self.dispatch = _Operations(known | {code[0]: run for code, run in own.items()})

    def find_class(self, module: str, name: str) -> Any:
        """Return what is made in the place of a name; nothing is imported."""
        made = MADE.get(f"{module}.{name}")
        if made is not None:
            return made
        if module == "torch" and name.endswith("Storage"):
            return StorageType(name)
        raise CheckpointRefused(f"it would call {module}.{name}, and tensors do without")

    def persistent_load(self, identity: Any) -> Storage:
        """Return the storage that an identity names."""
        storage = _storage(identity)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise CheckpointRefused("a storage is named in two ways")
        return storage

    def _call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not any(function is made for made in MADE.values()):
            raise CheckpointRefused(f"it would call {_kind(function)}, and tensors do without")
        if not isinstance(arguments, tuple):
            _refuse_damaged()
        self.stack.append(function(*arguments))

    def _drop_state(self) -> None:
        """Drop an ordered dict's attributes, in which PyTorch keeps versions of modules."""
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise CheckpointRefused(f"it would give {_kind(self.stack[-1])} attributes, and tensors do without")

    def _set(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put([key, value])

    def _set_many(self) -> None:
        self._put(self.pop_mark())

    def _put(self, values: list[Any]) -> None:
        """Put keys and values, in turn, into the dict on the stack."""
        target = self.stack[-1]
        if not isinstance(target, dict) or len(values) % 2:
            _refuse_damaged()
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, KEYS):
                raise CheckpointRefused(f"a key is no word or number but {_kind(key)}")
            target[key] = value


def _storage(identity: Any) -> Storage:
    """Return the storage that ``("storage", type, key, location, length, …)`` names."""
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise CheckpointRefused("it refers to something that is no storage")
    _, type, key, _, length, *view = identity
    if not isinstance(type, StorageType) or not isinstance(key, str) or view not in ([], [None]):
        raise CheckpointRefused("a storage is of an unknown kind")
    return Storage(type.name, key, _pickled_count(length))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        _refuse_damaged()
    if len(size) != len(stride) or len(size) > DIMENSIONS:
        raise CheckpointRefused("a tensor's size and strides do not fit together")
    sizes, strides = tuple(map(_pickled_count, size)), tuple(map(_pickled_count, stride))
    tensor = Tensor(storage, _pickled_count(offset), sizes, strides)
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if tensor.count and last >= storage.length:
        raise CheckpointRefused("a tensor reaches beyond its storage")
    if tensor.count > storage.length:
        raise CheckpointRefused("a tensor holds more values than its storage")
    return tensor


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        _refuse_damaged()
    return tensor


def _ordered_dict(*items: Any) -> dict[Any, Any]:
    if items:
        raise CheckpointRefused("an ordered dict is made of something")
    return {}


MADE: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
"""All that a checkpoint may make, and what is made instead."""


def _pickled_count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise CheckpointRefused("a size, stride or offset is out of range")
    return value


def _kind(value: Any) -> str:
    return f"torch.{value.name}" if isinstance(value, StorageType) else f"a {type(value).__name__}"


def _refuse_damaged() -> NoReturn:
    raise CheckpointRefused("its pickle is damaged")


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


def described_by(data: bytes) -> tuple[Any, Storages]:
    """Return what a checkpoint describes, and the numbers of its storages by key; raises any of `UNREADABLE`."""
    if data.startswith(ZIP):
        return _archive(data)
    if data.startswith(PICKLE):
        return _legacy_file(data)
    if data[257:262] == TAR:
        raise CheckpointRefused(
            "it is a tar archive of PyTorch 0.1: load it with a PyTorch before 2.6 and save it again"
        )
    raise CheckpointRefused("it begins as neither format of PyTorch does")


def _archive(data: bytes) -> tuple[Any, Storages]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        root = _archive_root(members)
        held = interpret(io.BytesIO(archive.read(members[f"{root}data.pkl"])))
        order = f"{root}byteorder"
        big = order in members and members[order].file_size < 10 and archive.read(order) == b"big"
        left, storages = len(data), {}
        for key, storage in held.storages.items():
            info = members.get(f"{root}data/{key}")
            if info is None or info.compress_type != zipfile.ZIP_STORED or info.file_size > left:
                raise CheckpointRefused(f"storage '{key[:20]}' is missing, compressed or too long")
            left -= info.file_size
            storages[key] = _storage_numbers(storage, archive.read(info), ">" if big else "<")
    return held.value, storages


def _archive_root(members: dict[str, zipfile.ZipInfo]) -> str:
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointRefused("the archive holds no data.pkl")
    if members[pickles[0]].file_size > LONGEST_PICKLE:
        raise CheckpointRefused(f"its pickle is longer than {LONGEST_PICKLE} bytes")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in members:
        raise CheckpointRefused("it is a TorchScript program, not a checkpoint")
    return root


def _legacy_file(data: bytes) -> tuple[Any, Storages]:
    stream = io.BytesIO(data)
    if interpret(stream).value != MAGIC:
        raise CheckpointRefused("it is a pickle, but none of PyTorch's")
    _version, facts, held, keys = (interpret(stream) for _ in range(4))
    big = isinstance(facts.value, dict) and facts.value.get("little_endian") is False
    storages: Storages = {}
    for key in keys.value if isinstance(keys.value, list) else ():
        storage = held.storages.get(key) if isinstance(key, str) else None
        if storage is None or key in storages:
            raise CheckpointRefused("its storages are not those that its tensors name")
        length = int.from_bytes(stream.read(8), "big" if big else "little")
        if length != storage.length:
            raise CheckpointRefused(f"storage '{key[:20]}' has another length than named")
        storages[key] = _storage_numbers(storage, stream.read(length * _itemsize(storage)), ">" if big else "<")
    if storages.keys() != held.storages.keys():
        raise CheckpointRefused("a storage is missing")
    return held.value, storages


def _itemsize(storage: Storage) -> int:
    if storage.type not in DTYPES:
        raise CheckpointRefused(f"numbers of kind {storage.type[:30]} are not understood")
    return int(DTYPES[storage.type][1])


def _storage_numbers(storage: Storage, data: bytes, order: str) -> NDArray[Any]:
    import numpy as np

    if len(data) != storage.length * _itemsize(storage):
        raise CheckpointRefused(f"storage '{storage.key[:20]}' has another length than named")
    return np.frombuffer(data, f"{order}{DTYPES[storage.type]}")


UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError)
"""What is raised at a file that is no checkpoint, is damaged, or holds more; `CheckpointRefused` is a ValueError."""

STATES = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights", "params")
"""Where a checkpoint that holds more than weights keeps them, by habit."""

SHARED = 4
"""Tensors that share storages may hold as many times the file's bytes."""


def read_torch(what: Weights | str | Path, key: str | None = None) -> dict[str, NDArray[Any]]:
    """Return the tensors of a PyTorch checkpoint by name.

    Parameters
    ----------
    what : Weights or path
        A record is looked for in its sources and held to its digest; a path is read as it is.
    key : str, optional
        Where in the checkpoint the weights are, such as ``model_ema``; by default the checkpoint itself, or the
        first of `STATES` that it has.

    Returns
    -------
    dict of str to numpy.ndarray
        As PyTorch holds them, channels first; bfloat16 becomes float32. Read-only.

    Raises
    ------
    WeightsMissing
        D2F502: not on this machine.
    D2FError
        D2F503: another digest than the record's. D2F505: not a checkpoint of tensors and plain values alone, or
        damaged.
    """
    data = checked_bytes(what) if isinstance(what, Weights) else user_file_bytes(Path(what))
    try:
        held, storages = described_by(data)
        state = chosen(held, key)
        total = sum(tensor.count * storages[tensor.storage.key].itemsize for tensor in state.values())
        if total > SHARED * len(data):
            raise CheckpointRefused(f"its tensors hold more than {SHARED} times its bytes")
    except UNREADABLE as error:
        name = what.name if isinstance(what, Weights) else what
        message = f"'{name}' is no PyTorch checkpoint of tensors and plain values alone"
        raise D2FError.of("D2F505", message, str(error) or type(error).__name__, "nothing in it was run") from error
    return {name: _view_of(tensor, storages[tensor.storage.key]) for name, tensor in state.items()}


def chosen(held: Any, key: str | None) -> dict[str, Tensor]:
    """Return the dict of tensors in a checkpoint, or the one at `key`."""
    if key is None and _is_state(held):
        return dict(held)
    if not isinstance(held, dict):
        raise CheckpointRefused("it holds no dict of tensors")
    where = key if key is not None else next((name for name in STATES if name in held), None)
    if where is None:
        raise CheckpointRefused(f"it holds {_keys_in_words(held)}: name the one with the weights by --key")
    if where not in held:
        raise CheckpointRefused(f"it has no '{where}'; it holds {_keys_in_words(held)}")
    if not _is_state(held[where]):
        raise CheckpointRefused(f"its '{where}' is no dict of tensors alone")
    return dict(held[where])


def _is_state(held: Any) -> bool:
    return isinstance(held, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in held.items()
    )


def _keys_in_words(held: Mapping[Any, Any]) -> str:
    names = [str(name)[:40] for name in list(held)[:8]]
    return ", ".join(names) + (f" and {len(held) - 8} more" if len(held) > 8 else "")


def _view_of(tensor: Tensor, numbers: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor; the interpreter has seen that it lies inside its storage."""
    import numpy as np

    strides = [step * numbers.itemsize for step in tensor.stride]
    if not tensor.count:
        viewed = np.empty(tensor.size, numbers.dtype)
    else:
        viewed = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.size, strides, writeable=False)
    if tensor.storage.type == "BFloat16Storage":
        # Its bits are the upper half of a float32's.
        return (viewed.astype(np.uint32) << 16).view(np.float32)
    dtype = np.dtype(bool) if tensor.storage.type == "BoolStorage" else viewed.dtype.newbyteorder("=")
    return viewed.astype(dtype, copy=False)
