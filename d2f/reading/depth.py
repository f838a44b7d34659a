"""More than 8 bits a sample, brought to 8 by rounding: 65535 becomes 255, so 16 bits are divided by 257."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from d2f.api.arrays import Pixels

_NATIVE, _OTHER = (";16L", ";16B") if sys.byteorder == "little" else (";16B", ";16L")
_SWAPPED = {";16L": ";16B", ";16B": ";16L", ";16N": _OTHER}


def from_16_bits(values: NDArray[Any]) -> Pixels:
    """Divide 0..65535 by 257 and round to the nearest, as uint8."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def grey_8_bit(image: Image.Image) -> Image.Image:
    """Bring a grey image of mode ``I;16*``, ``I`` or ``F`` to mode ``L``.

    Integers of 32 bits and floats state no white: it is taken as 1 for floats within [0, 1], else as
    255 or 65535 where all values fit; otherwise the values' own range becomes 0..255. What is not
    finite is black.
    """
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray(from_16_bits(values))
    plane = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(plane.min()), float(plane.max())
    white = 1.0 if image.mode == "F" and high <= 1.0 else 255.0 if high <= 255.0 else 65535.0
    if low < 0.0 or high > white:
        plane, white = plane - low, (high - low) or 1.0
    return Image.fromarray(np.rint(plane / white * 255.0).astype(np.uint8))


def low_byte_tiles(image: Image.Image) -> list[Any] | None:
    """Return what `image.tile` must become for each sample's low byte to be delivered, or None.

    Pillow keeps the high byte of 16-bit colour only. Reading it in the other byte order keeps the
    other one, so that two readings together hold all 16 bits. None where the image, opened and not
    yet loaded, is of another kind.
    """
    tiles = []
    for tile in getattr(image, "tile", ()):
        raw, *rest = (tile.args,) if isinstance(tile.args, str) else tile.args or ("",)
        layout, order = str(raw)[:-4], _SWAPPED.get(str(raw)[-4:])
        if order is None or layout not in ("RGB", "RGBX", "RGBA"):
            return None
        tiles.append(tile._replace(args=(layout + order, *rest) if rest else layout + order))
    return tiles or None


def join_bytes(high: Image.Image, low: Image.Image) -> Image.Image:
    """Return the 8-bit image of 16-bit samples whose bytes came apart by `low_byte_tiles`."""
    samples = np.asarray(high).astype(np.uint32) << 8 | np.asarray(low)
    joined = Image.fromarray(from_16_bits(samples))
    # A transparent colour is stated in 16 bits, which Pillow's conversion does not expect.
    joined.info = {key: value for key, value in high.info.items() if key != "transparency"}
    return joined
