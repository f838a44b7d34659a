"""Means of a map over a grid of a given size, whatever the map's own."""

from __future__ import annotations

import mlx.core as mx


def grid_average(x: mx.array, grid: int) -> mx.array:
    """Return the means of a map over ``grid`` x ``grid`` cells.

    Cell i of n covers the rows from floor(i * height / n) to ceil((i + 1) * height / n), its end left out, and the
    columns likewise: PyTorch's adaptive average pooling. Cells overlap where the size is no multiple of n.

    Parameters
    ----------
    x : mlx.core.array, shape (n, height, width, channels)
    grid : int

    Returns
    -------
    mlx.core.array, shape (n, grid, grid, channels)
    """
    height, width = x.shape[1:3]
    if height != grid:
        x = mx.einsum("ih,nhwc->niwc", _cells(height, grid), x)
    if width != grid:
        x = mx.einsum("jw,nhwc->nhjc", _cells(width, grid), x)
    return x


def _cells(size: int, grid: int) -> mx.array:
    """Return the matrix (grid, size) whose product with rows gives the cells' means."""
    rows = []
    for cell in range(grid):
        start, end = cell * size // grid, -(-(cell + 1) * size // grid)
        rows.append([1 / (end - start) if start <= row < end else 0.0 for row in range(size)])
    return mx.array(rows)
