"""Memory does not grow with the number of images."""

from __future__ import annotations

import os
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f import Tiles
from d2f.engine.local import score_images
from d2f.engine.prefetch import prefetch

from .toys import TileFunction, Whole, picture, plan_of, step

STATUS = Path("/proc/self/statm")


def resident() -> int:
    """Bytes of this process in memory."""
    return int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not STATUS.exists(), reason="reads Linux's account of memory")
def test_five_thousand_images_take_no_more_than_five_hundred(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(picture(0, 128, 128).pixels).save(path)
    views = {"v": (step("invert", lambda p, _: 255 - p),)}
    plan = plan_of(
        {
            "at-once": (Whole(lambda _: 0.0, True), ["plain", "v"]),
            "batched": (Whole(lambda _: 0.0), ["plain", "v"]),
            "tiles": (TileFunction(Tiles(2, 32, "grid"), lambda _: 0.0), ["plain", "v"]),
        },
        views,
    )
    seen: list[int] = []
    for number, _ in enumerate(score_images(plan, prefetch(repeat(str(path), 5000)))):
        if number % 250 == 0:
            seen.append(resident())
    assert number == 4999
    early, late = np.median(seen[2:6]), np.median(seen[-4:])
    # 5,000 images of 48 KiB are 240 MiB.
    assert late - early < 8 * 2**20
