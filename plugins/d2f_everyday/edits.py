"""Everyday edits: what happens to pictures between their making and their judging."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from d2f import Pixels

Colour = tuple[int, int, int]

SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))
"""Rows red, green and blue of ``sepia(1)``: W3C, *Filter Effects Module Level 1* (2018), section 13.1.2."""

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def levels(values: NDArray[np.floating]) -> Pixels:
    """Return real levels rounded half to even and clipped to uint8."""
    rounded: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8, order="C")
    return rounded


def picture(pixels: Pixels) -> Image.Image:
    """Return uint8 (height, width, 3) as a Pillow image."""
    return Image.fromarray(np.ascontiguousarray(pixels))


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Return the picture after baseline JPEG with 4:2:0 chroma (ITU-T T.81); sides up to 65500 pixels."""
    stream = io.BytesIO()
    picture(pixels).save(stream, "JPEG", quality=quality, subsampling="4:2:0")
    with JpegImageFile(io.BytesIO(stream.getvalue())) as decoded:
        return np.array(decoded)


def reduce(pixels: Pixels, longest: int) -> Pixels:
    """Return the picture with its longest side at most `longest` pixels (bicubic), never enlarged."""
    height, width = pixels.shape[:2]
    if max(height, width) <= longest:
        return pixels.copy()
    size = tuple(max(1, round(side * longest / max(height, width))) for side in (width, height))
    return np.array(picture(pixels).resize(size, Image.Resampling.BICUBIC))


def scan(pixels: Pixels, tilt: float, noise: float, colour: bool, seed: int) -> Pixels:
    """Return the scan of a print.

    1 % of the levels is clipped at each end and the rest stretched to 0..255 (of each channel alike for a grey scan,
    of each alone for a colour scan), ``y = 18 + 0.9 x + noise z`` with z from N(0, 1), then turned by `tilt` degrees
    on white, so that nothing is cut off (bicubic).

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    tilt : float
        Degrees, counter-clockwise.
    noise : float
        Standard deviation in grey levels; the same in all channels of a grey scan.
    colour : bool
        Whether colours stay; otherwise the luma of ITU-R BT.601.
    seed : int
        At least 0. Equal seeds give equal noise.

    Examples
    --------
    >>> scan(np.zeros((100, 200, 3), np.uint8), 0.0, 0.0, False, 1)[0, 0].tolist()
    [18, 18, 18]
    """
    source = picture(pixels) if colour else picture(pixels).convert("L")
    stretched = np.asarray(ImageOps.autocontrast(source, cutoff=1), np.float32)
    drawn = np.random.default_rng(seed).standard_normal(stretched.shape, np.float32)
    paper = Image.fromarray(levels(18 + np.float32(0.9) * stretched + np.float32(noise) * drawn)).convert("RGB")
    return np.array(paper.rotate(tilt, Image.Resampling.BICUBIC, expand=True, fillcolor=WHITE))


def caption(pixels: Pixels, height: float, text: str, inside: bool) -> Pixels:
    """Return the picture with a black bar of white text above and below.

    Inside, the bars lie a fifth of their height within the picture; outside, they are added to it. The text repeats
    until the bar is full.
    """
    rows, columns = pixels.shape[:2]
    bar = max(1, round(rows * height))
    if inside:
        canvas, tops = picture(pixels), (bar // 5, rows - bar - bar // 5)
    else:
        canvas, tops = Image.new("RGB", (columns, rows + 2 * bar)), (0, rows + bar)
        canvas.paste(picture(pixels), (0, bar))
    draw, size = ImageDraw.Draw(canvas), max(4, bar // 2)
    for top in tops:
        draw.rectangle([0, top, columns, top + bar - 1], fill=BLACK)
        _write(draw, (bar // 2, top + bar // 5), text, size, WHITE, columns)
    return np.array(canvas)


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, ink: Colour, width: int) -> None:
    if text.strip():
        repeated = f"{text} " * (1 + width // (size * len(text) // 3 + 1))
        draw.text(at, repeated[: 4 * width // size + 1], fill=ink, font=ImageFont.load_default(size))


def frame(pixels: Pixels, width: float, colour: Colour) -> Pixels:
    """Return the picture within a border of one colour, `width` of the shorter side wide, at least one pixel."""
    border = max(1, round(min(pixels.shape[:2]) * width))
    rows, columns = (side + 2 * border for side in pixels.shape[:2])
    framed = np.empty((rows, columns, 3), np.uint8)
    framed[:] = colour
    framed[border:-border, border:-border] = pixels
    return framed


def screenshot(pixels: Pixels, dark: bool) -> Pixels:
    """Return the picture in a window: title bar above, side panel at the right with lines of text, margins around."""
    rows, columns = pixels.shape[:2]
    unit = max(2, min(rows, columns) // 24)
    face, ink, bar = ((32, 33, 36), (218, 220, 224), (53, 54, 58)) if dark else (WHITE, (32, 33, 36), (222, 225, 230))
    size = (columns + 10 * unit, rows + 5 * unit)
    canvas = Image.new("RGB", size, face)
    draw = ImageDraw.Draw(canvas)
    draw.rectangle([0, 0, size[0], 2 * unit], fill=bar)
    for at in range(3):
        draw.ellipse([unit * (at + 0.5), unit * 0.6, unit * (at + 1.2), unit * 1.3], fill=ink)
    _write(draw, (5 * unit, unit // 2), "example - a picture", unit, ink, 12 * unit)
    canvas.paste(picture(pixels), (unit, 3 * unit))
    for at in range(3, rows // unit, 2):
        _write(draw, (columns + 2 * unit, at * unit), "comment on it" if at % 6 else "reply", unit, ink, 5 * unit)
    return np.array(canvas)


def enlarge(pixels: Pixels, factor: float, filter: str) -> Pixels:
    """Return the middle ``1 / factor`` of each side, enlarged by `factor`."""
    height, width = (max(1, round(side / factor)) for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    middle = picture(pixels[top : top + height, left : left + width])
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.array(middle.resize(size, Image.Resampling[filter.upper()]))


def sepia(pixels: Pixels, amount: float) -> Pixels:
    """Return ``((1 - amount) I + amount S) x`` for each pixel x, with S of `SEPIA`."""
    matrix = (1 - amount) * np.eye(3) + amount * np.array(SEPIA)
    return levels(pixels.astype(np.float32) @ matrix.T.astype(np.float32))
