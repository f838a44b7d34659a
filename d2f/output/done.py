"""Which images a resumed run need not score again, in 20 bytes a row."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from d2f.output.values import encodable

KEY_BYTES = 16


class Done:
    """A bag of paths, kept as 128-bit digests: no two paths were ever seen to share one.

    Filled first, then asked. It takes 20 bytes a path (48 for the moment when it is sorted): 20 MB for a
    million rows. A path that was written twice may be taken twice, so that an image named twice on the command
    line has two rows, resumed or not.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._count = 0
        # Digests in order, in two halves of 64 bits, and how often each may still be taken.
        self._high, self._low, self._left = array("Q"), array("Q"), array("I")

    def __len__(self) -> int:
        return self._count

    def add(self, path: str) -> None:
        """Put in a path, as its row has it."""
        assert not self._high, "a bag is filled first, then asked"
        self._pending += _digest(path)
        self._count += 1

    def not_done(self, paths: Iterable[str]) -> Iterator[str]:
        """Yield the paths that are not in the bag, taking out those that are."""
        return (path for path in paths if not self.take(path))

    def take(self, path: str) -> bool:
        """Take a path out, and say whether it was there."""
        if not self._count:
            return False
        if self._pending:
            self._sort()
        return self._take(_digest(path))

    def _sort(self) -> None:
        import numpy as np

        pairs = np.frombuffer(bytes(self._pending), dtype=">u8").reshape(-1, 2).astype(np.uint64)
        self._pending = bytearray()
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        first = np.flatnonzero(np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)])
        self._left = array("I", np.diff(np.r_[first, len(pairs)]).astype(np.uintc).tobytes())
        self._high, self._low = (array("Q", half.tobytes()) for half in pairs[first].T)

    def _take(self, digest: bytes) -> bool:
        high, low = int.from_bytes(digest[:8]), int.from_bytes(digest[8:])
        at = bisect_left(self._high, high)
        while at < len(self._high) and self._high[at] == high:
            if self._low[at] == low and self._left[at]:
                self._left[at] -= 1
                return True
            at += 1
        return False


def _digest(path: str) -> bytes:
    return hashlib.blake2b(encodable(path).encode(), digest_size=KEY_BYTES).digest()
