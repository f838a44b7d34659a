"""Pool-adjacent-violators: the best rising step function."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Block(NamedTuple):
    """A stretch of points that share one fitted value: indices ``first``..``last``, weight and weighted mean."""

    first: int
    last: int
    weight: float
    value: float


def pooled(values: NDArray[np.float64], weights: NDArray[np.float64]) -> list[Block]:
    """Return the blocks of the rising step function with the least weighted squared distance to `values`.

    Parameters
    ----------
    values, weights : numpy.ndarray, shape (n,), float64
        In the order along which the fit rises; weights above 0.

    References
    ----------
    Ayer, Brunk, Ewing, Reid and Silverman, Annals of Mathematical Statistics 26 (1955), doi:10.1214/aoms/1177728423.

    Examples
    --------
    >>> import numpy as np
    >>> [block.value for block in pooled(np.array([1.0, 3.0, 2.0]), np.ones(3))]
    [1.0, 2.5]
    """
    blocks: list[Block] = []
    for i, (value, weight) in enumerate(zip(values.tolist(), weights.tolist(), strict=True)):
        blocks.append(Block(i, i, weight, value))
        while len(blocks) > 1 and blocks[-2].value >= blocks[-1].value:
            last, before = blocks.pop(), blocks.pop()
            weight = before.weight + last.weight
            mean = (before.weight * before.value + last.weight * last.value) / weight
            blocks.append(Block(before.first, last.last, weight, mean))
    return blocks
