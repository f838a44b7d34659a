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
    "391a4b952ac742136dcdbd2697a0ab2d4b0163d193393e58743ef2eb92b1b74f": (
        0.057156, -0.028922, 0.000041064, 0.074084, -0.25209, -0.026142, -0.12458, 0.048361,
        -0.24499, 0.05909, -0.17819, 0.036109, -0.00088584, -0.064975, 0.073279, -0.13759,
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
