"""What a published detector says of a picture of arithmetic."""

from __future__ import annotations

import numpy as np

from d2f import Weights
from d2f.weights import SelfTest
from d2f_published.stages import STAGES

RECORDED: dict[str, float] = {
    "036ed30d04ffd9c7506f825b97c86aa64915f5818931da96817b169aad790af5": -0.71674126,  # mesonet/meso4-df
    "234586d40058e76ef8b6f27ca4b63c06e31c2a5a69c0d8ba6f30b1468ab7bafa": 3.81777358,  # mesonet/inception-df
}
"""Scores by digest of the file."""


def score(record: Weights) -> SelfTest:
    """Return the score that a detector with these weights gives the picture, for `d2f weights verify`."""
    rows, columns = np.mgrid[0:448, 0:448]
    squares = (rows // 56 + columns // 56) % 2 * 60
    picture = np.stack([rows // 4 + squares, columns // 4 + squares, (rows + columns) // 8 + squares], -1)
    name, _, chosen = record.name.partition("/")
    stage = next(stage for stage in STAGES if stage.name == name)
    weights = "default" if chosen == "tower" else chosen
    detector = stage(stage.Options(weights=weights))
    detector.load()
    expected = RECORDED.get(record.sha256)
    found = tuple(map(float, detector.score([picture.astype(np.uint8)])))
    return SelfTest(found, None if expected is None else (expected,), "the recorded output")
