"""Whether a weights file's arrays are the ones that a model asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from d2f.api.errors import D2FError, Exit, Problem

Shape = Sequence[int | None]


def strict(arrays: Mapping[str, Any], expected: Mapping[str, Shape], name: str = "") -> None:
    """Refuse arrays that are not exactly those of a model.

    Parameters
    ----------
    arrays : mapping of str to array
        As `read_weights` returned them.
    expected : mapping of str to shape
        Every name that the model has; None in a shape stands for any size.
    name : str, optional
        What the weights are called in the error.

    Raises
    ------
    D2FError
        D2F504, exit code 3: every name that is missing, unknown or has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> strict({"bias": np.zeros(3)}, {"bias": (3,)})
    """
    missing = [f"missing: {key} {_spelled(expected[key])}" for key in sorted(expected.keys() - arrays.keys())]
    unknown = [f"unknown: {key} {_spelled(arrays[key].shape)}" for key in sorted(arrays.keys() - expected.keys())]
    shapes = [
        f"shape of {key}: {_spelled(arrays[key].shape)}, not {_spelled(shape)}"
        for key, shape in sorted(expected.items())
        if key in arrays and not _fits(arrays[key].shape, shape)
    ]
    notes = (*missing, *unknown, *shapes)
    if notes:
        called = f"weights '{name}'" if name else "the weights"
        raise D2FError(Problem("D2F504", f"{called} do not fit the model", notes=notes), Exit.PLUGIN)


def _fits(shape: Sequence[int], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        size == want for size, want in zip(shape, wanted, strict=True) if want is not None
    )


def _spelled(shape: Shape) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
