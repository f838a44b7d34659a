"""Whatever Pillow decoded, as pixels of sRGB: palettes, grey, CMYK, Lab, alpha, more than 8 bits."""

from __future__ import annotations

import numpy as np
from PIL import Image

from d2f.api.arrays import Pixels
from d2f.reading.depth import grey_8_bit
from d2f.reading.profile import to_srgb

MID_GREY = 128
"""The level that shows through where an image is transparent."""

_ROWS = 256  # worked on at a time, so that what is needed in between stays small
_SMALL = 2**24  # pixels; their second copy is 48 MiB


def srgb_pixels(image: Image.Image) -> Pixels:
    """Return a loaded image as uint8 (height, width, 3) in sRGB, transparent parts over mid-grey.

    Parameters
    ----------
    image : PIL.Image.Image
        Loaded, of any mode that d2f's formats decode to.
    """
    colours, alpha = _split(image)
    pixels = _array(to_srgb(colours, image.info.get("icc_profile")))
    return pixels if alpha is None else over_grey(pixels, np.asarray(alpha))


def over_grey(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Lay colours over mid-grey: (alpha * colour + (255 - alpha) * 128) / 255, rounded to the nearest.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
        Colours, not multiplied by alpha.
    alpha : numpy.ndarray, shape (height, width), uint8
        255 is opaque.
    """
    if alpha.min() == 255:
        return pixels
    out = np.empty_like(pixels)
    for top in range(0, len(pixels), _ROWS):
        rows = slice(top, top + _ROWS)
        share = alpha[rows, :, None].astype(np.uint16)
        # The sum reaches 65025 + 127, within 16 bits.
        out[rows] = (pixels[rows] * share + MID_GREY * (255 - share) + 127) // 255
    return out


def _array(image: Image.Image) -> Pixels:
    """Return an image of mode ``RGB`` as an array; a large one is copied in stripes.

    At one stroke Pillow makes a second copy on the way. Stripes are cut by `resize`, since `crop`
    judges sizes by Pillow's own limit.
    """
    width, height = image.size
    if width * height <= _SMALL:
        return np.asarray(image)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for top in range(0, height, _ROWS):
        rows = min(_ROWS, height - top)
        stripe = image.resize((width, rows), Image.Resampling.NEAREST, (0, top, width, top + rows))
        pixels[top : top + rows] = np.asarray(stripe)
    return pixels


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Part colours, in a mode that profiles know where there is one, from alpha."""
    if image.mode.startswith("I") or image.mode == "F":
        return grey_8_bit(image), None
    if image.mode in ("La", "LA"):
        both = image if image.mode == "LA" else image.convert("LA")
        return both.getchannel("L"), both.getchannel("A")
    if image.has_transparency_data:
        both = image if image.mode == "RGBA" else image.convert("RGBA")
        return both.convert("RGB"), both.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")), None
