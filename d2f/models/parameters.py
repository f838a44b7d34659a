"""A network's arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

from d2f.weights import strict

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEAD = "head."
"""How the names of a network's last layer begin."""

STATISTICS = ("running_mean", "running_var")
"""What batch norm keeps that is no parameter."""


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of a network, batch norm's running statistics included."""
    return {name: tuple(array.shape) for name, array in tree_flatten(model.parameters())}


def parameter_count(model: nn.Module) -> int:
    """Return how many numbers a network learns; running statistics are not learned.

    Examples
    --------
    >>> from d2f.models import SmallVGG
    >>> parameter_count(SmallVGG(logits=10))
    1251658
    """
    arrays = tree_flatten(model.parameters())
    return sum(array.size for name, array in arrays if not name.endswith(STATISTICS))


def arrays_of(model: nn.Module) -> dict[str, NDArray[Any]]:
    """Return a network's arrays for `d2f.weights.write_weights`."""
    import numpy as np

    return {name: np.array(array) for name, array in tree_flatten(model.parameters())}


def load_arrays(model: nn.Module, arrays: Mapping[str, NDArray[Any]], name: str = "", new_head: bool = False) -> bool:
    """Put arrays into a network, strictly by name.

    Parameters
    ----------
    model : mlx.nn.Module
    arrays : mapping of str to numpy.ndarray
        As `d2f.weights.read_weights` returned them, channels last; any float dtype becomes float32.
    name : str, optional
        What the weights are called in errors.
    new_head : bool
        Leave the network's own head where the arrays have none, or one for another number of classes.

    Returns
    -------
    bool
        Whether the head was loaded too.

    Raises
    ------
    d2f.D2FError
        D2F504: a name is missing or unknown, or an array has another shape; the network is as it was.
    """
    wanted = shapes(model)
    own = {key: shape for key, shape in wanted.items() if key.startswith(HEAD)}
    fits = all(key in arrays and arrays[key].shape == shape for key, shape in own.items())
    if new_head and not fits:
        wanted = {key: shape for key, shape in wanted.items() if key not in own}
        arrays = {key: array for key, array in arrays.items() if key not in own}
    strict(arrays, wanted, name)
    model.update(tree_unflatten([(key, mx.array(array).astype(mx.float32)) for key, array in arrays.items()]))
    # At once: a lazy array of one thread cannot be evaluated in another.
    mx.eval(model.parameters())
    return fits or not new_head
