"""The networks' forward passes in float64 with NumPy, channels first, by published names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tests.unit.models.state_dicts import VGG_LAYERS

Array = np.ndarray[Any, Any]
State = Mapping[str, Array]


def convolution(x: Array, weight: Array, stride: int = 1, padding: int = 0) -> Array:
    """Correlate maps (n, in, h, w) with kernels (out, in, kh, kw)."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, weight.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(windows, weight.astype(np.float64), ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


def batch_norm(x: Array, state: State, name: str) -> Array:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, variance, weight, bias = (
        state[f"{name}.{part}"].astype(np.float64).reshape(shape)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def maximum(x: Array, kernel: int, stride: int, padding: int = 0, ceil: bool = False) -> Array:
    """Take maxima one place after the other; in ceil mode those too that only begin inside."""
    size, places = x.shape[2], []
    reach = size + 2 * padding - kernel
    count = (-(-reach // stride) if ceil else reach // stride) + 1
    spans = [(k * stride - padding, k * stride - padding + kernel) for k in range(count) if k * stride - padding < size]
    for top, bottom in spans:
        places.append([x[:, :, max(0, top) : bottom, max(0, left) : right].max((2, 3)) for left, right in spans])
    return np.array(places).transpose(2, 3, 0, 1)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def linear(x: Array, state: State, name: str) -> Array:
    return x @ state[f"{name}.weight"].astype(np.float64).T + state[f"{name}.bias"]


def imagenet_resnet(x: Array, state: State) -> Array:
    x = relu(batch_norm(convolution(x, state["conv1.weight"], 2, 3), state, "bn1"))
    x = maximum(x, 3, 2, 1)
    blocks = {match[1] for name in state if (match := re.match(r"(layer\d\.\d+)\.", name))}
    for block in sorted(blocks):
        x = residual(x, state, block, 2 if re.match(r"layer[234]\.0$", block) else 1)
    return linear(x.mean((2, 3)), state, "fc")


def residual(x: Array, state: State, name: str, stride: int) -> Array:
    """Return a block of two or three convolutions; the 3x3 one that comes first takes the stride."""
    convolutions = sorted(key for key in state if re.match(rf"{name}\.conv\d\.weight$", key))
    y, left = x, stride
    for index, key in enumerate(convolutions, 1):
        size = state[key].shape[2]
        step, left = (left, 1) if size == 3 else (1, left)
        y = batch_norm(convolution(y, state[key], step, size // 2), state, f"{name}.bn{index}")
        y = relu(y) if index < len(convolutions) else y
    if f"{name}.downsample.0.weight" in state:
        x = batch_norm(convolution(x, state[f"{name}.downsample.0.weight"], stride), state, f"{name}.downsample.1")
    return relu(x + y)


def cifar_resnet(x: Array, state: State, blocks: int, plain: bool = False) -> Array:
    """By d2f's names: the published CIFAR network with every second pixel and zeros for new channels as shortcut."""
    x = relu(batch_norm(convolution(x, state["stem.weight"], 1, 1), state, "stem_norm"))
    for stage in range(3):
        for block in range(blocks):
            name, stride = f"stages.{stage}.{block}", 2 if stage and not block else 1
            y = relu(batch_norm(convolution(x, state[f"{name}.conv1.weight"], stride, 1), state, f"{name}.norm1"))
            y = batch_norm(convolution(y, state[f"{name}.conv2.weight"], 1, 1), state, f"{name}.norm2")
            x = x[:, :, ::stride, ::stride]
            x = np.pad(x, ((0, 0), (0, y.shape[1] - x.shape[1]), (0, 0), (0, 0)))
            x = relu(y if plain else x + y)
    return linear(x.mean((2, 3)), state, "head")


def vgg(x: Array, state: State, depth: int) -> Array:
    """By torchvision's names."""
    at, normed = 0, "features.1.running_mean" in state
    for word in VGG_LAYERS[depth].split():
        if word == "M":
            x, at = maximum(x, 2, 2), at + 1
            continue
        x = convolution(x, state[f"features.{at}.weight"], 1, 1) + state[f"features.{at}.bias"].reshape(1, -1, 1, 1)
        x = relu(batch_norm(x, state, f"features.{at + 1}") if normed else x)
        at += 3 if normed else 2
    x = adaptive_mean(x, 7).reshape(len(x), -1)
    x = relu(linear(relu(linear(x, state, "classifier.0")), state, "classifier.3"))
    return linear(x, state, "classifier.6")


def adaptive_mean(x: Array, grid: int) -> Array:
    """Average over grid x grid members: from floor(i h / grid) to ceil((i + 1) h / grid)."""
    height, width = x.shape[2:]
    rows = [slice(i * height // grid, int(np.ceil((i + 1) * height / grid))) for i in range(grid)]
    columns = [slice(i * width // grid, int(np.ceil((i + 1) * width / grid))) for i in range(grid)]
    return np.array([[x[:, :, row, column].mean((2, 3)) for column in columns] for row in rows]).transpose(2, 3, 0, 1)


def small_vgg(x: Array, state: State) -> Array:
    """By d2f's names; maxima of kernel and stride 4 in ceil mode."""
    for block in range(3):
        for index in range(2):
            name = f"blocks.{block}.{index}"
            x = convolution(x, state[f"{name}.conv.weight"], 1, 1) + state[f"{name}.conv.bias"].reshape(1, -1, 1, 1)
            x = relu(batch_norm(x, state, f"{name}.norm"))
        x = maximum(x, 4, 4, ceil=True)
    x = x.mean((2, 3))
    for index in range(2):
        x = relu(batch_norm(linear(x, state, f"hidden.{index}.linear"), state, f"hidden.{index}.norm"))
    return linear(x, state, "head")
