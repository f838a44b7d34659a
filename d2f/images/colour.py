"""Loaded images of every mode to upright uint8 sRGB: depth, profiles, stated encodings, transparency, orientation.

Transfer characteristics and primaries that a file states without an ICC profile: PNG's chunks cICP, iCCP, sRGB, gAMA
and cHRM, in this order of precedence (W3C PNG 3rd edition, 4.3); AVIF's and HEIF's colour box ``nclx`` (ISO/IEC 23001-8
code points). PQ and HLG are shown as on a screen whose white is the reference white of 203 cd/m² (ITU-R BT.2408);
brighter parts are clipped, as a browser does on such a screen.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from d2f.api.inputs import Note, Pixels
from d2f.images.tiff import sample_bits, to_16_bits, unsigned_32, white_is_zero

Notes: TypeAlias = list[Note] | None
"""Where caveats of a picture are put."""

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


def srgb_from_16_bits(
    high: Image.Image, low: Image.Image, encoding: Encoding | None = None, notes: Notes = None
) -> Pixels:
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
        pixels = _rgb_array(to_srgb(Image.fromarray(from_16_bits(colours)), high.info.get("icc_profile")))
    return pixels if alpha is None else over_grey(pixels, alpha, notes)


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


def srgb_pixels(
    image: Image.Image, encoding: Encoding | None = None, swapped: bool = False, notes: Notes = None
) -> Pixels:
    """Return a loaded image as uint8 (height, width, 3) in sRGB, transparent parts over mid-grey, which `notes` say."""
    if image.mode.startswith("I") or image.mode == "F":
        return _grey_pixels(image, encoding, swapped, notes)
    colours, alpha = _split(image)
    if encoding is not None:
        pixels = to_srgb_light(np.asarray(colours.convert("RGB")), encoding)
    else:
        pixels = _rgb_array(to_srgb(colours, image.info.get("icc_profile")))
    return pixels if alpha is None else over_grey(pixels, np.asarray(alpha), notes)


def _grey_pixels(image: Image.Image, encoding: Encoding | None, swapped: bool, notes: Notes) -> Pixels:
    grey = grey_16_bits(image, swapped)
    if encoding is not None:
        pixels = to_srgb_light(grey[..., None].repeat(3, axis=2), encoding)
    else:
        pixels = _rgb_array(to_srgb(Image.fromarray(from_16_bits(grey)), image.info.get("icc_profile")))
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return pixels
    return over_grey(pixels, np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8), notes)


TRANSPARENT = 0.005
"""Share of pixels that let mid-grey through, from which on a note says so."""


def over_grey(pixels: Pixels, alpha: Pixels, notes: Notes = None) -> Pixels:
    """Lay colours over mid-grey: (alpha * colour + (255 - alpha) * 128) / 255, rounded to the nearest.

    `pixels` shape (height, width, 3), uint8; `alpha` shape (height, width), uint8.
    """
    if alpha.min() == 255:
        return pixels
    through = 1 - np.count_nonzero(alpha == 255) / alpha.size
    if notes is not None and through >= TRANSPARENT:
        message = f"{through:.0%} of the pixels are transparent, in part or whole; they are judged over mid-grey"
        notes.append(Note("transparent", message))
    out = np.empty_like(pixels)
    for top in range(0, len(pixels), _ROWS):
        rows = slice(top, top + _ROWS)
        share = alpha[rows, :, None].astype(np.uint16)
        # The sum reaches 65025 + 127, within 16 bits.
        out[rows] = (pixels[rows] * share + MID_GREY * (255 - share) + 127) // 255
    return out


def _rgb_array(image: Image.Image) -> Pixels:
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


REFERENCE_WHITE = 203.0
"""cd/m² of diffuse white in PQ and HLG (ITU-R BT.2408-7, table 1)."""
PQ, HLG, LINEAR = 16, 18, 8
SRGB_LIKE = {0, 1, 2, 6, 13, 14, 15}
"""Code points taken as sRGB's own curve: browsers show BT.709's, BT.601's and unspecified ones so."""
POWERS = {4: 2.2, 5: 2.8}
# CIE xy of red, green, blue and white, by code point (ISO/IEC 23001-8, table 2).
D65 = (0.3127, 0.3290)
PRIMARIES = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
}
BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65)
SAME_GAMMA = 0.02
"""gAMA values this near to 1/2.2 are sRGB's own in all but name."""
STRIPE = 256


@dataclass(frozen=True, slots=True)
class Encoding:
    """How samples stand for light: a code point or an exponent, and primaries; `words` name it for a person."""

    transfer: int
    exponent: float | None
    primaries: tuple[tuple[float, float], ...] | None
    words: str


def stated_encoding(name: str, data: bytes, info: Mapping[Any, Any]) -> Encoding | None:
    """Return the encoding that a file states; None where it is sRGB, unstated or an ICC profile."""
    if info.get("icc_profile"):
        return None
    if name == "PNG":
        return _png(data)
    if name in ("AVIF", "HEIF"):
        box = _nclx(data)
        return None if box is None else _coded(*box)
    return None


def _coded(primaries: int, transfer: int) -> Encoding | None:
    wide = PRIMARIES.get(primaries)
    if transfer in SRGB_LIKE and wide is None:
        return None
    words = {PQ: "PQ", HLG: "HLG", LINEAR: "linear light"}.get(transfer, f"transfer {transfer}")
    return Encoding(transfer, POWERS.get(transfer), wide, words + (", wide primaries" if wide else ""))


def _png(data: bytes) -> Encoding | None:
    gamma = chroma = None
    for kind, body in _chunks(data):
        if kind == b"cICP" and len(body) == 4:
            return _coded(body[0], body[1])
        if kind in (b"iCCP", b"sRGB"):
            return None
        if kind == b"gAMA" and len(body) == 4:
            gamma = struct.unpack(">I", body)[0] / 100000
        if kind == b"cHRM" and len(body) == 32:
            chroma = [number / 100000 for number in struct.unpack(">8I", body)]
    primaries = _chromaticities(chroma) if chroma else None
    if gamma is None or not 0.1 <= gamma <= 4.0 or (abs(gamma - 1 / 2.2) <= SAME_GAMMA and primaries is None):
        return None
    exponent = None if abs(gamma - 1 / 2.2) <= SAME_GAMMA else 1 / gamma
    return Encoding(0 if exponent is None else 4, exponent, primaries, f"gamma {gamma:.5g}")


def _chromaticities(numbers: list[float]) -> tuple[tuple[float, float], ...] | None:
    white, red, green, blue = (tuple(numbers[at : at + 2]) for at in (0, 2, 4, 6))
    found = (red, green, blue, white)
    near = all(
        abs(a - b) < 0.01 for one, other in zip(found, BT709, strict=True) for a, b in zip(one, other, strict=True)
    )
    return None if near else found  # type: ignore[return-value]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield a PNG's chunks before the picture's data."""
    at = 8
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind in (b"IDAT", b"IEND"):
            return
        yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size


def _nclx(data: bytes) -> tuple[int, int] | None:
    """Return (primaries, transfer) of the first ``colr`` box of type ``nclx`` in the file's ``meta`` box."""
    start = data.find(b"meta", 0, 4096)
    if start < 4:
        return None
    end = min(len(data), start - 4 + int.from_bytes(data[start - 4 : start], "big"))
    found = data.find(b"colrnclx", start, end)
    if found < 0 or found + 12 > len(data):
        return None
    primaries, transfer = struct.unpack(">HH", data[found + 8 : found + 12])
    return primaries, transfer


def to_srgb_light(samples: NDArray[Any], encoding: Encoding) -> Pixels:
    """Return uint8 sRGB of samples (height, width, 3), uint8 or uint16, that are in another encoding."""
    depth = int(np.iinfo(samples.dtype).max)
    curve = _linear(np.arange(depth + 1) / depth, encoding).astype(np.float32)
    matrix: NDArray[np.float32] | None = None  # from linear RGB of these primaries to BT.709's, white to white
    if encoding.primaries is not None:
        theirs = _to_xyz((*encoding.primaries[:3], D65))
        matrix = (np.linalg.inv(_to_xyz(BT709)) @ theirs).astype(np.float32)
    out = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), STRIPE):
        light: NDArray[Any] = curve[samples[top : top + STRIPE]]
        if encoding.transfer == HLG:  # its system gamma 1.2 for a peak of 1000 cd/m² (BT.2100), white at 203
            luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
            light *= (np.maximum(luminance, 1e-6) ** 0.2 * (1000 / REFERENCE_WHITE))[..., None]
        if matrix is not None:
            light = (light @ matrix.T).astype(np.float32)
        light = np.clip(light, 0, 1)
        # IEC 61966-2-1
        coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** np.float32(1 / 2.4) - 0.055)
        out[top : top + STRIPE] = np.rint(coded * 255).astype(np.uint8)
    return out


def _linear(values: NDArray[np.float64], encoding: Encoding) -> NDArray[np.float64]:
    """Return linear light with white 1 of code values 0..1."""
    if encoding.transfer == PQ:  # SMPTE ST 2084
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = values ** (1 / m2)
        ratio: NDArray[np.float64] = np.maximum(power - c1, 0) / (c2 - c3 * power)
        return ratio ** (1 / m1) * 10000 / REFERENCE_WHITE
    if encoding.transfer == HLG:  # ITU-R BT.2100, inverse OETF; scene light, 1 at the peak
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
    if encoding.transfer == LINEAR:
        return values
    if encoding.exponent is not None:
        return values**encoding.exponent
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries[:3]]).T
    x, y = primaries[3]
    scale = np.linalg.solve(columns, np.array([x / y, 1.0, (1 - x - y) / y]))
    return columns * scale
