"""The tiny autoencoder in plain NumPy, float64, channels first, layer by layer as its files number them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]


def folder() -> Path:
    """Return the folder of the published weights, named by D2F_AUTOENCODERS or beside D2F_DATA; skips without."""
    named = os.environ.get("D2F_AUTOENCODERS")
    beside = Path(os.environ["D2F_DATA"]).resolve().parent / "autoencoders" if "D2F_DATA" in os.environ else None
    found = Path(named) if named else beside
    if found is None or not (found / "taef2_encoder.pth").is_file():
        pytest.skip("no autoencoders: set D2F_AUTOENCODERS, or D2F_DATA to a folder beside them")
    return found


def pulled(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the published weights lie in a cache as if they had been fetched; skips without them."""
    from d2f_autoencoder.records import DECODER, ENCODER

    published = folder()
    (cache / "weights").mkdir(parents=True)
    for record in (ENCODER, DECODER):
        file = published / f"{record.name.replace('/', '_')}.pth"
        (cache / "weights" / f"{record.sha256}.pth").symlink_to(file.resolve())
    monkeypatch.setenv("D2F_CACHE", str(cache))


def random_arrays(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, NDArray[np.float32]]:
    """Return weights under which values keep their size from layer to layer."""
    random = np.random.default_rng(seed)
    arrays = {}
    for name, shape in shapes.items():
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 1
        deviation = 0.5 * np.sqrt(2 / fan_in) if len(shape) > 1 else 0.1
        centre = 1.0 if name.endswith("pool.1.weight") else 0.0
        arrays[name] = (centre + deviation * random.standard_normal(shape)).astype(np.float32)
    return arrays


def encode(picture: NDArray[np.uint8], arrays: Arrays) -> Array:
    """Return the latent (height / 8, width / 8, 32) of a picture."""
    x = _convolved(picture.transpose(2, 0, 1) / 255.0, arrays, "0")
    for place in range(1, 14):
        x = _convolved(x, arrays, str(place), 2) if place in (2, 6, 10) else _block(x, arrays, str(place))
    return _convolved(x, arrays, "14").transpose(1, 2, 0)


def decode(latent: NDArray[Any], arrays: Arrays) -> Array:
    """Return the picture of a latent, unrounded."""
    x = 3 * np.tanh(np.asarray(latent, np.float64).transpose(2, 0, 1) / 3)
    x = np.maximum(_convolved(x, arrays, "1"), 0)
    for place in range(3, 19):
        if place in (6, 11, 16):
            x = x.repeat(2, axis=1).repeat(2, axis=2)
        else:
            x = (_convolved if place in (7, 12, 17) else _block)(x, arrays, str(place))
    return _convolved(x, arrays, "19").transpose(1, 2, 0)


def _block(x: Array, arrays: Arrays, name: str) -> Array:
    if f"{name}.pool.0.weight" in arrays:
        x = x + _pool(x, arrays, f"{name}.pool")
    y = np.maximum(_convolved(x, arrays, f"{name}.conv.0"), 0)
    y = np.maximum(_convolved(y, arrays, f"{name}.conv.2"), 0)
    return np.maximum(_convolved(y, arrays, f"{name}.conv.4") + x, 0)


def _pool(x: Array, arrays: Arrays, name: str) -> Array:
    wide = np.einsum("oi,ihw->ohw", arrays[f"{name}.0.weight"][:, :, 0, 0].astype(np.float64), x)
    groups = wide.reshape(4, -1)
    normed = (groups - groups.mean(axis=1, keepdims=True)) / np.sqrt(groups.var(axis=1, keepdims=True) + 1e-5)
    normed = normed.reshape(wide.shape) * arrays[f"{name}.1.weight"][:, None, None]
    rectified = np.maximum(normed + arrays[f"{name}.1.bias"][:, None, None], 0)
    return np.einsum("oi,ihw->ohw", arrays[f"{name}.3.weight"][:, :, 0, 0].astype(np.float64), rectified)


def _convolved(x: Array, arrays: Arrays, name: str, stride: int = 1) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    made = np.tensordot(
        arrays[f"{name}.weight"].astype(np.float64), windows[:, ::stride, ::stride], ((1, 2, 3), (0, 3, 4))
    )
    bias = arrays.get(f"{name}.bias")
    return made if bias is None else made + bias[:, None, None]
