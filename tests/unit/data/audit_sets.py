"""Sets in which a container gives the label away, or does not."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from d2f.testing import camera_picture


def write_given_away(folder: Path, count: int = 24, side: int = 256) -> Path:
    """Write as many photographs (JPEG, sizes of their own) as generated images (PNG), all from one simulated camera."""
    for number in range(2 * count):
        label, source = ("generated/toy" if number % 2 else "real"), f"hands-{number // 2 % 8}-{number % 2}"
        where = folder / label / source
        where.mkdir(parents=True, exist_ok=True)
        extra = 0 if number % 2 else 16 + number % 7
        picture = Image.fromarray(camera_picture(side, side + extra, seed=number))
        picture.save(where / f"{number}.{'png' if number % 2 else 'jpg'}", **({} if number % 2 else {"quality": 80}))
    return folder
