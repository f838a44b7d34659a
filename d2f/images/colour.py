"""Loaded images of every mode to upright uint8 sRGB: depth, profiles, transparency, orientation."""

from __future__ import annotations

import sys
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from d2f.api.inputs import Pixels
from d2f.images.tiff import sample_bits, to_16_bits, unsigned_32, white_is_zero
from d2f.images.transfer import Encoding, to_srgb_light

_NATIVE, _OTHER = (";16L", ";16B") if sys.byteorder == "little" else (";16B", ";16L")
_SWAPPED = {";16L": ";16B", ";16B": ";16L", ";16N": _OTHER}


def from_16_bits(values: NDArray[Any]) -> Pixels:
    """Divide 0..65535 by 257 and round to the nearest, as uint8."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def grey_16_bits(image: Image.Image, swapped: bool = False) -> NDArray[np.uint16]:
    """Return the samples of a grey image of mode ``I;16*``, ``I`` or ``F``, scaled to 0 (black) to 65535."""
    values = np.asarray(image)
    if swapped:
        values = values.byteswap() if image.mode == "F" else values.astype(np.int16).byteswap()
    if image.mode.startswith("I;16") and (bits := sample_bits(image)) < 16:
        values = np.rint(values * (65535.0 / (2**bits - 1))).astype(np.uint16)
    if image.mode == "I" and unsigned_32(image):
        values = values.view(np.uint32)
    grey = to_16_bits(values)
    return 65535 - grey if white_is_zero(image) else grey


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


def srgb_from_16_bits(high: Image.Image, low: Image.Image, encoding: Encoding | None = None) -> Pixels:
    """Return uint8 sRGB of 16-bit samples, high and low bytes apart; transparent parts over mid-grey."""
    samples = np.asarray(high).astype(np.uint16) << 8 | np.asarray(low)
    alpha = from_16_bits(samples[..., 3]) if high.mode == "RGBA" else None
    clear = high.info.get("transparency")
    if alpha is None and isinstance(clear, tuple) and len(clear) == 3:
        # One colour of 16 bits is transparent (PNG, tRNS), which Pillow's conversion does not expect.
        alpha = np.where((samples[..., :3] == np.array(clear)).all(axis=-1), 0, 255).astype(np.uint8)
    colours = samples[..., :3]
    if encoding is not None:
        pixels = to_srgb_light(colours, encoding)
    else:
        pixels = _array(to_srgb(Image.fromarray(from_16_bits(colours)), high.info.get("icc_profile")))
    return pixels if alpha is None else over_grey(pixels, alpha)


_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_LARGEST = 8 * 2**20  # bytes; printing presses' profiles reach 3 MB
_PROBE_STEPS = 17


def to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Return the image in RGB, its colours those of sRGB.

    Relative colorimetric intent with black point compensation. A profile that is damaged, made for
    another kind of image, or that moves no colour by more than one level (sRGB itself, in its many
    spellings) is ignored, so that a sound picture's own numbers stay as they are, bit for bit.
    """
    if isinstance(profile, bytes) and image.mode in _SPACES and len(profile) <= _LARGEST:
        transform = _transform(profile, image.mode)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        if opened.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if _changes_nothing(transform, mode) else transform
    except Exception:  # littlecms and its wrapper raise many kinds for a damaged profile
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    probe = _probe(mode)
    before = np.asarray(probe.convert("RGB")).astype(np.int16)
    return bool(np.abs(np.asarray(transform.apply(probe)) - before).max() <= 1)


def _probe(mode: str) -> Image.Image:
    """Every grey, or a cube of colours 17 steps a side."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, _PROBE_STEPS).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    return Image.fromarray(cube.reshape(_PROBE_STEPS, -1, 3))


MID_GREY = 128
"""The level that shows through where an image is transparent."""

_ROWS = 256  # worked on at a time, so that what is needed in between stays small
_SMALL = 2**24  # pixels; their second copy is 48 MiB


def srgb_pixels(image: Image.Image, encoding: Encoding | None = None, swapped: bool = False) -> Pixels:
    """Return a loaded image as uint8 (height, width, 3) in sRGB, transparent parts over mid-grey."""
    if image.mode.startswith("I") or image.mode == "F":
        return _grey_pixels(image, encoding, swapped)
    colours, alpha = _split(image)
    if encoding is not None:
        pixels = to_srgb_light(np.asarray(colours.convert("RGB")), encoding)
    else:
        pixels = _array(to_srgb(colours, image.info.get("icc_profile")))
    return pixels if alpha is None else over_grey(pixels, np.asarray(alpha))


def _grey_pixels(image: Image.Image, encoding: Encoding | None, swapped: bool) -> Pixels:
    grey = grey_16_bits(image, swapped)
    if encoding is not None:
        pixels = to_srgb_light(grey[..., None].repeat(3, axis=2), encoding)
    else:
        pixels = _array(to_srgb(Image.fromarray(from_16_bits(grey)), image.info.get("icc_profile")))
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return pixels
    return over_grey(pixels, np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8))


def over_grey(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Lay colours over mid-grey: (alpha * colour + (255 - alpha) * 128) / 255, rounded to the nearest.

    `pixels` shape (height, width, 3), uint8; `alpha` shape (height, width), uint8.
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
    if image.mode in ("La", "LA"):
        both = image if image.mode == "LA" else image.convert("LA")
        return both.getchannel("L"), both.getchannel("A")
    if image.has_transparency_data:
        both = image if image.mode == "RGBA" else image.convert("RGBA")
        return both.convert("RGB"), both.getchannel("A")
    if image.mode == "1":
        return image.convert("L"), None
    return (image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")), None


TAG = 0x0112
"""EXIF tag Orientation (CIPA DC-008, 4.6.5.1.6), 1 to 8."""


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded image, 1 where there is none that makes sense."""
    try:
        value = image.getexif().get(TAG, 1)
    except Exception:  # damaged metadata of any kind: the picture itself is sound
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn pixels (height, width, 3) the way the picture was taken; a view where that is enough.

    `pixels` shape (height, width, 3), uint8.
    """
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
