"""Which of a file's frames or pages is the picture, and what to say where there are several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2f.api.inputs import Note

if TYPE_CHECKING:
    from PIL import Image

MOST_LOOKED_AT = 64
"""Frames beyond this are not looked at when the picture is chosen."""
REDUCED_COPY = 254
"""TIFF tag NewSubfileType; its lowest bit marks a reduced copy (TIFF 6.0, section 8)."""
CONTENT = 12.0
"""Standard deviation (levels) of a frame's grey values at which the first one is taken without looking further."""


def frame_count(image: Image.Image, name: str) -> int:
    """Return how many frames or pages a file holds, at least 1."""
    try:
        if name == "JPEG":
            found = image._getmp()  # type: ignore[attr-defined]
            return max(1, int(found.get(0xB001, 1))) if found else 1
        return max(1, int(getattr(image, "n_frames", 1)))
    except Exception:  # damaged tables of frames: the picture itself may be sound
        return 1


def select_frame(image: Image.Image, name: str) -> tuple[int, int, tuple[Note, ...]]:
    """Bring `image` to the frame that is the picture; return its number, the number of frames, and a note.

    Of TIFF pages of different sizes the largest (reduced copies last); of an animation the first with content.
    A JPEG (MPO) keeps its first picture, HEIF its primary one.
    """
    count = frame_count(image, name)
    if count == 1:
        return 0, 1, ()
    chosen = image.tell()
    if name == "TIFF":
        chosen = _largest_page(image, min(count, MOST_LOOKED_AT))
    elif name in ("GIF", "WEBP", "PNG", "AVIF"):
        chosen = _first_with_content(image, min(count, MOST_LOOKED_AT))
    if image.tell() != chosen:
        image.seek(chosen)
    word = {"TIFF": "pages", "JPEG": "pictures", "HEIF": "pictures"}.get(name, "frames")
    message = f"the file holds {count} {word}; number {chosen + 1} was judged"
    return chosen, count, (Note("one-of-several", message),)


def _largest_page(image: Image.Image, count: int) -> int:
    sizes = []
    for number in range(count):
        try:
            image.seek(number)
        except Exception:  # a page that cannot be opened is not the picture
            break
        reduced = int(image.tag_v2.get(REDUCED_COPY, 0)) & 1  # type: ignore[attr-defined]
        sizes.append((1 - reduced, image.width * image.height, -number))
    return -max(sizes)[2] if sizes else 0


def _first_with_content(image: Image.Image, count: int) -> int:
    """Return the first frame with at least half the contrast of the richest: a fade-in's first frames have little."""
    contrast: list[float] = []
    for number in range(count):
        try:
            image.seek(number)
            contrast.append(_deviation(image))
        except Exception:  # a damaged frame: those before it decide
            break
        if contrast[0] >= CONTENT:
            return 0
    most = max(contrast, default=0.0)
    return next((number for number, value in enumerate(contrast) if value >= most / 2), 0)


def _deviation(image: Image.Image) -> float:
    from PIL import ImageStat

    return float(ImageStat.Stat(image.convert("L").reduce(max(1, min(image.size) // 64))).stddev[0])
