"""A reader of the pickles in PyTorch checkpoints that calls nothing: whatever is no tensor or plain value is refused.

Python's own unpickler imports what a file names and calls it, which is to run a stranger's program. This one
knows the operations that PyTorch writes (protocols 2 to 4 of the pickle machine, as ``pickletools`` describes
them), keeps every name as a name, and turns the rebuilding of a tensor and of a parameter into descriptions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

DIMENSIONS = 32
"""A tensor has at most as many; NumPy's bound before version 2."""

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}

NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
WORDS = ("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES")
VALUES = frozenset((*NUMBERS, *WORDS))
"""Operations whose argument is the value."""

IGNORED = frozenset(("PROTO", "FRAME", "STOP"))

MOST_OPERATIONS = 2_000_000
"""In one pickle: seconds. That of a network of a thousand layers has a tenth of it, its optimiser included."""

KEYS = (str, int)
"""What may be a key; the hash of a deeply nested tuple could overflow the stack."""


class Refused(ValueError):
    """A pickle that holds more than tensors and plain values, or is damaged."""


@dataclass(frozen=True, slots=True)
class Name:
    """Something that the file would have imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Storage:
    """A row of numbers that lies elsewhere in the file: its type, such as ``FloatStorage``, its key and its length."""

    type: str
    key: str
    length: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage, which has been seen to lie inside it; offset and strides count values."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pickled:
    """What a pickle describes, made of plain values and `Tensor`, and the storages that it names, by key."""

    value: Any
    storages: dict[str, Storage]


def interpret(stream: BinaryIO) -> Pickled:
    """Return what a pickle describes; the stream stands behind it.

    Parameters
    ----------
    stream : binary file
        At the pickle's beginning.

    Raises
    ------
    Refused
        It holds anything else, or is damaged.
    """
    # Imported here: plugins import this room while commands list them.
    import pickletools

    machine = _Machine()
    try:
        for done, (operation, argument, _) in enumerate(pickletools.genops(stream)):
            if done == MOST_OPERATIONS:
                raise Refused(f"its pickle has more than {MOST_OPERATIONS} operations")
            machine.do(operation.name, argument)
        (value,) = machine.stack
        return Pickled(value, machine.storages)
    except Refused:
        raise
    except (ValueError, LookupError, TypeError, OverflowError, MemoryError) as error:
        raise Refused(f"damaged: {type(error).__name__}") from error


class _Machine:
    """The pickle machine: a stack, marks in it, and a memo; beside them the storages that were named."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}

    def do(self, operation: str, argument: Any) -> None:
        """Carry out one operation."""
        if operation in VALUES:
            self.stack.append(argument)
        elif operation in CONSTANTS:
            self.stack.append(CONSTANTS[operation])
        elif operation == "GLOBAL":
            self.stack.append(Name(*argument.split(" ", 1)))
        elif operation in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif operation in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif operation in OPERATIONS:
            OPERATIONS[operation](self)
        elif operation not in IGNORED:
            raise Refused(f"its pickle uses {operation}, which tensors do without")

    def marked(self) -> list[Any]:
        """Take what lies above the last mark."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def take(self, count: int) -> list[Any]:
        """Take the uppermost values, the lowest first."""
        values = self.stack[len(self.stack) - count :] if len(self.stack) >= count else _damaged()
        del self.stack[len(self.stack) - count :]
        return values

    def append(self, values: list[Any]) -> None:
        """Add values to the list on the stack."""
        target = self.stack[-1]
        if not isinstance(target, list):
            _damaged()
        target += values

    def set_items(self, values: list[Any]) -> None:
        """Put keys and values, in turn, into the dict on the stack."""
        target = self.stack[-1]
        if not isinstance(target, dict) or len(values) % 2:
            _damaged()
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, KEYS):
                raise Refused(f"a key is no word or number but {_kind(key)}")
            target[key] = value

    def call(self) -> None:
        """Put on the stack what a name would have made of its arguments."""
        name, arguments = self.take(2)
        make = MADE.get(str(name)) if isinstance(name, Name) else None
        if make is None:
            raise Refused(f"it would call {name if isinstance(name, Name) else _kind(name)}, and tensors do without")
        if not isinstance(arguments, tuple):
            _damaged()
        self.stack.append(make(arguments))

    def refer(self) -> None:
        """Put the storage on the stack that an identity names."""
        storage = _storage(*self.take(1))
        if self.storages.setdefault(storage.key, storage) != storage:
            raise Refused("a storage is named in two ways")
        self.stack.append(storage)

    def drop_state(self) -> None:
        """Take an ordered dict's attributes away, in which PyTorch keeps versions of modules."""
        self.take(1)
        if not isinstance(self.stack[-1], dict):
            raise Refused(f"it would give {_kind(self.stack[-1])} attributes, and tensors do without")


OPERATIONS: dict[str, Callable[[_Machine], object]] = {
    "MARK": lambda machine: machine.marks.append(len(machine.stack)),
    "MEMOIZE": lambda machine: machine.memo.update({len(machine.memo): machine.stack[-1]}),
    "EMPTY_TUPLE": lambda machine: machine.stack.append(()),
    "EMPTY_LIST": lambda machine: machine.stack.append([]),
    "EMPTY_DICT": lambda machine: machine.stack.append({}),
    "TUPLE": lambda machine: machine.stack.append(tuple(machine.marked())),
    "TUPLE1": lambda machine: machine.stack.append(tuple(machine.take(1))),
    "TUPLE2": lambda machine: machine.stack.append(tuple(machine.take(2))),
    "TUPLE3": lambda machine: machine.stack.append(tuple(machine.take(3))),
    "APPEND": lambda machine: machine.append(machine.take(1)),
    "APPENDS": lambda machine: machine.append(machine.marked()),
    "SETITEM": lambda machine: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine: machine.set_items(machine.marked()),
    "STACK_GLOBAL": lambda machine: machine.stack.append(_name(*machine.take(2))),
    "BINPERSID": lambda machine: machine.refer(),
    "REDUCE": lambda machine: machine.call(),
    "NEWOBJ": lambda machine: _make(*machine.take(2)),
    "BUILD": lambda machine: machine.drop_state(),
}


def _name(module: Any, name: Any) -> Name:
    if not isinstance(module, str) or not isinstance(name, str):
        _damaged()
    return Name(module, name)


def _make(name: Any, _: Any) -> NoReturn:
    raise Refused(f"it would make {_kind(name)}, and tensors do without")


def _storage(identity: Any) -> Storage:
    """Return the storage that ``("storage", type, key, location, length, …)`` names."""
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise Refused("it refers to something that is no storage")
    _, type, key, _, length, *view = identity
    if not isinstance(type, Name) or type.module != "torch" or not isinstance(key, str) or view not in ([], [None]):
        raise Refused("a storage is of an unknown kind")
    return Storage(type.name, key, _count(length))


def _tensor(arguments: tuple[Any, ...]) -> Tensor:
    storage, offset, size, stride, *_ = arguments
    if not isinstance(storage, Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        _damaged()
    if len(size) != len(stride) or len(size) > DIMENSIONS:
        raise Refused("a tensor's size and strides do not fit together")
    tensor = Tensor(storage, _count(offset), tuple(map(_count, size)), tuple(map(_count, stride)))
    _inside(tensor)
    return tensor


def _inside(tensor: Tensor) -> None:
    count, last = 1, tensor.offset
    for size, stride in zip(tensor.size, tensor.stride, strict=True):
        count *= size
        last += (size - 1) * stride
    if count and last >= tensor.storage.length:
        raise Refused("a tensor reaches beyond its storage")
    if count > tensor.storage.length:
        raise Refused("a tensor holds more values than its storage")


def _parameter(arguments: tuple[Any, ...]) -> Tensor:
    if not arguments or not isinstance(arguments[0], Tensor):
        _damaged()
    return arguments[0]


def _ordered(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments:
        raise Refused("an ordered dict is made of something")
    return {}


MADE: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
"""All that a checkpoint may make, and what is made instead."""


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise Refused("a size, stride or offset is out of range")
    return value


def _kind(value: Any) -> str:
    return str(value) if isinstance(value, Name) else f"a {type(value).__name__}"


def _damaged() -> NoReturn:
    raise Refused("its pickle is damaged")
