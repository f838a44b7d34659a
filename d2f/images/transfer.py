"""Transfer characteristics and primaries that a file states without an ICC profile, brought to sRGB.

PNG: the chunks cICP, iCCP, sRGB, gAMA and cHRM, in this order of precedence (W3C PNG 3rd edition, 4.3). AVIF and HEIF:
the colour box ``nclx`` (ISO/IEC 23001-8 code points). PQ and HLG are shown as on a screen whose white is the
reference white of 203 cd/m² (ITU-R BT.2408); brighter parts are clipped, as a browser does on such a screen.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Pixels

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
    matrix = None if encoding.primaries is None else _to_bt709(encoding.primaries).astype(np.float32)
    out = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), STRIPE):
        light: NDArray[Any] = curve[samples[top : top + STRIPE]]
        if encoding.transfer == HLG:
            light *= _hlg_gain(light)
        if matrix is not None:
            light = (light @ matrix.T).astype(np.float32)
        out[top : top + STRIPE] = _srgb(light)
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


def _hlg_gain(light: NDArray[Any]) -> NDArray[Any]:
    """Return the factor of HLG's system gamma 1.2 for a peak of 1000 cd/m² (BT.2100), white at 203."""
    luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    gain: NDArray[Any] = (np.maximum(luminance, 1e-6) ** 0.2 * (1000 / REFERENCE_WHITE))[..., None]
    return gain


def _to_bt709(primaries: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    """Return the matrix from linear RGB of these primaries to BT.709's, white to white."""
    found: NDArray[np.float64] = np.linalg.inv(_to_xyz(BT709)) @ _to_xyz((*primaries[:3], D65))
    return found


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> NDArray[np.float64]:
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries[:3]]).T
    x, y = primaries[3]
    scale = np.linalg.solve(columns, np.array([x / y, 1.0, (1 - x - y) / y]))
    return columns * scale


def _srgb(light: NDArray[Any]) -> Pixels:
    """Return uint8 of linear light, clipped to 0..1 (IEC 61966-2-1)."""
    clipped = np.clip(light, 0, 1)
    coded = np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** np.float32(1 / 2.4) - 0.055)
    pixels: Pixels = np.rint(coded * 255).astype(np.uint8)
    return pixels
