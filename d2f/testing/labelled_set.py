"""A tiny labelled folder, for trying out fitting, training and benching."""

from __future__ import annotations

import os
from pathlib import Path

from d2f.testing.camera import camera_picture, upsampled_picture

QUALITY = 92


def write_labelled_set(
    folder: str | os.PathLike[str], count: int = 12, height: int = 256, width: int = 256, seed: int = 0
) -> Path:
    """Write ``real/*/*.jpg`` and ``generated/toy/*/*.jpg`` and return the folder.

    The classes differ in how the pictures were made (`camera_picture`, `upsampled_picture`) and in nothing else:
    one size, one format, one JPEG quality.

    Parameters
    ----------
    folder : path
        Made where it is not there; files of the same names are replaced.
    count : int
        Pictures of each label, spread over four collections.
    height, width : int
        In pixels.
    seed : int
        Sets of different seeds share no picture.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(path.name for path in write_labelled_set(folder, count=2, height=64, width=64).rglob("*.jpg"))
    ['0000.jpg', '0000.jpg', '0001.jpg', '0001.jpg']
    """
    from PIL import Image

    root = Path(folder)
    for label, make in (("real", camera_picture), ("generated/toy", upsampled_picture)):
        for number in range(count):
            target = root / label / f"place-{number % 4}" / f"{number:04}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            picture = make(height, width, seed=1000 * seed + number)
            Image.fromarray(picture).save(target, quality=QUALITY)
    return root
