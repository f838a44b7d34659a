"""Seeded pictures of many kinds, the same in every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from d2f.testing.camera import camera_picture, upsampled_picture

if TYPE_CHECKING:
    from d2f.api.arrays import Pixels

SIDE = 256
TINY = ((1, 1), (1, 7), (7, 1), (2, 3), (8, 8), (15, 16))
"""Sizes, height and width, at which a detector may well have nothing to say."""


@cache
def pictures() -> Mapping[str, Pixels]:
    """Return the pictures that every stage is tried on, by name.

    Returns
    -------
    mapping of str to numpy.ndarray, shape (height, width, 3), uint8
        Read-only. `ordinary_pictures` at 256 x 256, pictures of odd and narrow sizes, `flat_pictures`, and
        tiny ones from 1 x 1 on.

    Examples
    --------
    >>> {name: picture.shape for name, picture in pictures().items() if "x1" in name}
    {'tiny 1x1': (1, 1, 3), 'tiny 7x1': (1, 7, 3), 'tiny 16x15': (15, 16, 3)}
    """
    made = {
        **ordinary_pictures(SIDE, SIDE),
        "camera, odd size": _kept(camera_picture(173, 251, seed=5)),
        "camera, narrow": _kept(camera_picture(31, 400, seed=6)),
        **flat_pictures(64, 64),
        **{f"tiny {width}x{height}": _kept(camera_picture(height, width, seed=7)) for height, width in TINY},
    }
    return MappingProxyType(made)


@cache
def ordinary_pictures(height: int, width: int) -> Mapping[str, Pixels]:
    """Return pictures of one size that a detector should have something to say of, by name."""
    made: tuple[tuple[str, Callable[[int, int], Pixels]], ...] = (
        ("camera", camera_picture),
        ("upsampled", upsampled_picture),
        ("noise", _noise),
        ("text", _text),
        ("gradient", _gradient),
    )
    return MappingProxyType({name: _kept(make(height, width)) for name, make in made})


@cache
def flat_pictures(height: int, width: int) -> Mapping[str, Pixels]:
    """Return pictures of one size without any content, by name: where a variance or a spectrum is zero."""
    import numpy as np

    levels = {"black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "one colour": (200, 30, 90)}
    flat = {name: _kept(np.full((height, width, 3), level, dtype=np.uint8)) for name, level in levels.items()}
    return MappingProxyType(flat)


def hard_pictures() -> Mapping[str, Pixels]:
    """Return the tiny pictures of `pictures`, and the flat ones."""
    return {name: picture for name, picture in pictures().items() if name.startswith("tiny") or _is_flat(picture)}


def with_size(name: str, picture: Pixels) -> str:
    """Return what findings call a picture: its name, width and height."""
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    return name if name.endswith(size) else f"{name} {size}"


def _noise(height: int, width: int) -> Pixels:
    import numpy as np

    return np.random.default_rng(11).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _gradient(height: int, width: int) -> Pixels:
    import numpy as np

    y, x = np.mgrid[:height, :width]
    parts = np.stack([x / max(width - 1, 1), y / max(height - 1, 1), (x + y) / max(width + height - 2, 1)], axis=-1)
    shades: Pixels = np.rint(255 * parts).astype(np.uint8)
    return shades


def _text(height: int, width: int) -> Pixels:
    """Black marks on white in lines, as a screenshot of a page has them: hard edges, two levels."""
    import numpy as np

    marks = np.random.default_rng(12).random((-(-height // 2), -(-width // 2))) < 0.45
    marks[np.arange(len(marks)) % 8 >= 5] = False
    marks[:, np.arange(marks.shape[1]) % 5 == 4] = False
    enlarged = marks.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    page: Pixels = np.zeros((height, width, 3), dtype=np.uint8)
    page[~enlarged] = 255
    return page


def _is_flat(picture: Pixels) -> bool:
    return bool((picture == picture[0, 0]).all())


def _kept(picture: Pixels) -> Pixels:
    picture.flags.writeable = False
    return picture
