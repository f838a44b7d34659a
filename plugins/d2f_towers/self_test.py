"""What a tower makes of a picture of arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from d2f import Weights
from d2f.weights import SelfTest
from d2f_towers.towers import TOWERS, read_tower, tokens_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS = 16
"""Numbers of the last block's token that are looked at, evenly spaced."""

RECORDED: dict[str, tuple[float, ...]] = {
    "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d": (
        -0.44454, 0.31277, -0.061849, -0.13674, -0.13197, -0.10446, 0.13824, -0.31842,
        0.058645, 0.07675, -0.079559, 0.044507, -0.1626, 0.086538, 0.02941, -0.69599,
    ),
    "236a44c7e65b5f007f74c482c79030289ceb5bb215eb2839a49e391262d84134": (
        -0.0098327, 0.051708, -0.0035623, 0.051075, -0.25294, -0.035008, -0.15002, 0.045483,
        -0.25623, 0.090336, -0.14347, 0.096219, 0.015522, -0.020044, -5.6177e-05, -0.12348,
    ),
}  # fmt: skip
"""By digest of the file."""


def picture(size: int) -> NDArray[np.uint8]:
    """Return squares of an eighth of the side on a slope of each colour, shape (size, size, 3)."""
    rows, columns = np.mgrid[0:size, 0:size]
    squares = (rows * 8 // size + columns * 8 // size) % 2 * 60
    slopes = (rows * 112 // size, columns * 112 // size, (rows + columns) * 56 // size)
    return np.stack([slope + squares for slope in slopes], -1).astype(np.uint8)


def tower_output(record: Weights) -> SelfTest:
    """Return numbers of the token after the last block of a tower, for `d2f weights verify`."""
    tower = TOWERS[record.name]
    token = tokens_of(read_tower(record, tower), (tower.shape.depth,))(picture(tower.shape.size)[None])[0]
    chosen = token[:: max(1, len(token) // NUMBERS)][:NUMBERS]
    return SelfTest(tuple(map(float, chosen)), RECORDED.get(record.sha256), "the recorded output")
