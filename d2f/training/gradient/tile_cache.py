"""Decoded tiles kept in uint8, in memory or in a file, within a bound: epochs repeat, decoding need not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from d2f.api.arrays import Pixels
from d2f.api.errors import D2FError

MEMORY = 2 * 2**30
"""Bytes of tiles that a run keeps in memory; beyond that they go to a file."""
DISK = 64 * 2**30
"""Bytes of tiles that a run keeps in a file; beyond that they are decoded again each epoch."""


class TileCache:
    """Tiles of images, appended once and read by index from any thread.

    Parameters
    ----------
    side : int
        Of a tile, in pixels.
    file : Path
        Where tiles go that memory has no room for; removed by `close`.
    memory, disk : int
        Bounds in bytes.
    """

    def __init__(self, side: int, file: Path, memory: int = MEMORY, disk: int = DISK) -> None:
        self._shape = (side, side, 3)
        self._bytes = 3 * side * side
        self._memory: list[Pixels] = []
        self._file = file
        self._rooms = memory // self._bytes, disk // self._bytes
        self._written = 0
        self._map: np.memmap[tuple[int, ...], np.dtype[np.uint8]] | None = None

    def add(self, tiles: Pixels) -> None:
        """Keep tiles (n, side, side, 3), as far as there is room, at the next indices.

        Raises
        ------
        D2FError
            D2F004: the disk is full.
        """
        room = self._rooms[0] - len(self._memory)
        self._memory += [np.array(tile) for tile in tiles[: max(room, 0)]]
        rest = tiles[max(room, 0) :][: self._rooms[1] - self._written]
        if len(rest):
            try:
                with self._file.open("ab" if self._written else "wb") as file:
                    file.write(np.ascontiguousarray(rest).tobytes())
            except OSError as error:
                raise D2FError.of("D2F004", f"'{self._file}' cannot be written: {error.strerror}") from error
            self._written += len(rest)
            self._map = None

    def get(self, index: int) -> Pixels | None:
        """Return a tile, None where there was no room for it."""
        if index < len(self._memory):
            return self._memory[index]
        index -= len(self._memory)
        if index >= self._written:
            return None
        # A local name: two threads may both map the file, and each uses its own.
        held = self._map
        if held is None:
            held = self._map = np.memmap(self._file, np.uint8, "r", shape=(self._written, *self._shape))
        # A copy: mlx-data takes no array that cannot be written to.
        return np.array(held[index])

    def close(self) -> None:
        """Let go of the tiles, and of the file."""
        self._memory, self._map, self._written = [], None, 0
        self._file.unlink(missing_ok=True)
