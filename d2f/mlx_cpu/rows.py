"""3x3 convolutions of stride 1 by minimal filtering down the columns, without a copy of the map.

Six neighbouring rows of the padded map lie in one piece in memory, so that the transform of each strip of four
output rows is a small product of matrices on the map as it is, and its result is four finished rows. Across,
the three taps are three products added up. Half the multiplications of the direct form; best where channels
are few and maps wide.
"""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx

from d2f.mlx_cpu.hook import OUTPUTS, POINTS, TAPS, one_axis
from d2f.mlx_cpu.window import Window, crop, spread


def prepare(weight: mx.array) -> list[mx.array]:
    """Transform weights (out, 3, 3, in): for each of the taps across, the matrices (6 points, in, out)."""
    out, _, _, channels = weight.shape
    points = one_axis().taps @ weight.transpose(1, 2, 3, 0).reshape(TAPS, -1)
    # Split, not indexed: an index of MLX is a gather, element by element.
    by_tap = mx.split(points.reshape(POINTS, TAPS, channels, out), TAPS, axis=1)
    return [tap.squeeze(1) for tap in by_tap]


def forward(x: mx.array, prepared: Sequence[mx.array], window: Window, bias: mx.array | None = None) -> mx.array:
    """Convolve x (n, height, width, in) and add a bias; returns (n, height', width', out)."""
    images, out = x.shape[0], prepared[0].shape[-1]
    height, width = window.places(*x.shape[1:3])
    inputs = _transformed(x, window)
    total = _met_by(0, inputs, width) @ prepared[0]
    for tap in range(1, TAPS):
        total = mx.addmm(total, _met_by(tap, inputs, width), prepared[tap])
    rows = one_axis().outputs @ total.reshape(images, -1, POINTS, width * out)
    y = crop(rows.reshape(images, -1, width, out), 0, 0, height, width)
    return y if bias is None else y + spread(bias, y.shape[2])


def weight_gradient(x: mx.array, gradient: mx.array, window: Window) -> mx.array:
    """Return the gradient (out, 3, 3, in) of the weights, given that of the output."""
    images, height, width, out = gradient.shape
    inputs = _transformed(x, window)
    strips, channels = inputs.shape[1], inputs.shape[-1]
    whole = Window((1, 1)).pad(gradient, below=OUTPUTS * strips - height)
    outputs = one_axis().outputs_back @ whole.reshape(images, strips, OUTPUTS, width * out)
    outputs = outputs.reshape(images, strips, POINTS, width, out).swapaxes(-1, -2)
    taps = [(outputs @ _met_by(tap, inputs, width)).sum((0, 1)) for tap in range(TAPS)]
    points = mx.concatenate(taps, -1).reshape(POINTS, -1)
    return (one_axis().taps_back @ points).reshape(TAPS, out, TAPS, channels).swapaxes(0, 1)


def _transformed(x: mx.array, window: Window) -> mx.array:
    """Return the transformed strips (n, strips, 6 points, padded width, in)."""
    images, rows, _, channels = x.shape
    height, width = window.places(*x.shape[1:3])
    strips, wide = -(-height // OUTPUTS), width + TAPS - 1
    tall = OUTPUTS * strips + TAPS - 1
    padded = window.pad(x, below=tall - rows - 2 * window.padding[0])
    row = wide * channels
    # Strips overlap by two rows; a product reads each where it lies.
    overlapping = mx.as_strided(padded, (images, strips, POINTS, row), (tall * row, OUTPUTS * row, row, 1))
    return (one_axis().inputs @ overlapping).reshape(images, strips, POINTS, wide, channels)


def _met_by(tap: int, inputs: mx.array, width: int) -> mx.array:
    """Return the view (n, strips, 6, width, in) that a tap meets: each row from its `tap`-th pixel on."""
    return inputs[:, :, :, tap : tap + width]
