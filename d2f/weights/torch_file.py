"""PyTorch checkpoints (.pth, .pt) read for their tensors alone; nothing in them is run."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError
from d2f.api.weights import Weights
from d2f.weights.file import checked_bytes
from d2f.weights.sources import path_bytes
from d2f.weights.torch_archive import opened
from d2f.weights.torch_pickle import Refused, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    data = checked_bytes(what) if isinstance(what, Weights) else path_bytes(Path(what))
    try:
        held, storages = opened(data)
        state = chosen(held, key)
        total = sum(_count(tensor) * storages[tensor.storage.key].itemsize for tensor in state.values())
        if total > SHARED * len(data):
            raise Refused(f"its tensors hold more than {SHARED} times its bytes")
    except (Refused, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError) as error:
        name = what.name if isinstance(what, Weights) else what
        message = f"'{name}' is no PyTorch checkpoint of tensors and plain values alone"
        raise D2FError.of("D2F505", message, str(error) or type(error).__name__, "nothing in it was run") from error
    return {name: _array(tensor, storages[tensor.storage.key]) for name, tensor in state.items()}


def chosen(held: Any, key: str | None) -> dict[str, Tensor]:
    """Return the dict of tensors in a checkpoint.

    Raises
    ------
    Refused
        There is none, or not at `key`.
    """
    if key is None and _is_state(held):
        return dict(held)
    if not isinstance(held, dict):
        raise Refused("it holds no dict of tensors")
    where = key if key is not None else next((name for name in STATES if name in held), None)
    if where is None:
        raise Refused(f"it holds {_listed(held)}: name the one with the weights by --key")
    if where not in held:
        raise Refused(f"it has no '{where}'; it holds {_listed(held)}")
    if not _is_state(held[where]):
        raise Refused(f"its '{where}' is no dict of tensors alone")
    return dict(held[where])


def _is_state(held: Any) -> bool:
    return isinstance(held, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in held.items()
    )


def _listed(held: Mapping[Any, Any]) -> str:
    names = [str(name)[:40] for name in list(held)[:8]]
    return ", ".join(names) + (f" and {len(held) - 8} more" if len(held) > 8 else "")


def _count(tensor: Tensor) -> int:
    count = 1
    for size in tensor.size:
        count *= size
    return count


def _array(tensor: Tensor, numbers: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor; the interpreter has seen that it lies inside its storage."""
    import numpy as np

    strides = [step * numbers.itemsize for step in tensor.stride]
    if not _count(tensor):
        viewed = np.empty(tensor.size, numbers.dtype)
    else:
        viewed = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.size, strides, writeable=False)
    if tensor.storage.type == "BFloat16Storage":
        # Its bits are the upper half of a float32's.
        return (viewed.astype(np.uint32) << 16).view(np.float32)
    dtype = np.dtype(bool) if tensor.storage.type == "BoolStorage" else viewed.dtype.newbyteorder("=")
    return viewed.astype(dtype, copy=False)
