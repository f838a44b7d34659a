"""How large a stranger's file may be before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits that are checked before a file is read and before it is decoded.

    The defaults take a photograph of 100 megapixels, be it a JPEG, an 8-bit TIFF (300 MB) or a
    16-bit TIFF (600 MB).

    Parameters
    ----------
    bytes : int
        The most bytes a file may hold, at least 1.
    pixels : int
        The most pixels (width times height) an image may hold, at least 1.
    """

    bytes: int = 640 * 2**20
    pixels: int = 128 * 2**20

    def __post_init__(self) -> None:
        if self.bytes < 1 or self.pixels < 1:
            raise ValueError(f"bounds must be at least 1, not bytes={self.bytes}, pixels={self.pixels}")
