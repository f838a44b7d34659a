"""Layers for networks of detectors: mlx.nn's, fast on a Linux CPU too. Public: plugins may import them.

`Conv2d`, `BatchNorm`, `MaxPool2d` and `AvgPool2d` have mlx.nn's constructors, parameters and results; on Metal
and CUDA they are mlx.nn's own. `attention`, `sigmoid`, `softmax` and `normal_distribution` are MLX's own there
too. See docs/explanation/mlx-on-a-cpu.md.

Examples
--------
>>> import mlx.core as mx
>>> from d2f.layers import Conv2d, relu
>>> layer = Conv2d(3, 8, kernel_size=3, padding=1)
>>> relu(layer(mx.zeros((1, 28, 28, 3)))).shape
(1, 28, 28, 8)
"""

from __future__ import annotations

from d2f.mlx_cpu.exponential import attention, normal_distribution, sigmoid, softmax
from d2f.mlx_cpu.layers import AvgPool2d, BatchNorm, Conv2d, MaxPool2d, fold_batch_norm, relu
from d2f.mlx_cpu.parallel import Pieces, join, parallel, piecewise, split

__all__ = [
    "AvgPool2d",
    "BatchNorm",
    "Conv2d",
    "MaxPool2d",
    "Pieces",
    "attention",
    "fold_batch_norm",
    "join",
    "normal_distribution",
    "parallel",
    "piecewise",
    "relu",
    "sigmoid",
    "softmax",
    "split",
]
