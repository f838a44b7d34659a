"""Pictures made and packed by the tests."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def smooth(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A seeded picture of soft waves in three different channels, which survives lossy formats."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / 32.0
    waves = [np.sin(rows * a + columns * b + c) for a, b, c in rng.uniform(0.2, 1.0, (3, 3))]
    return np.rint(127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def packed(picture: NDArray[np.uint8] | Image.Image, name: str, **options: object) -> bytes:
    """The file's bytes in one of Pillow's formats."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def written(folder: Path, name: str, data: bytes) -> str:
    """Write a file and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)
