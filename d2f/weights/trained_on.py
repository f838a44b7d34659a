"""Which images weights were trained on, carried inside the weights file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEY = "d2f.trained_on"
"""Name of the array in a weights file."""


def short_digests(digests: Iterable[str]) -> NDArray[np.uint64]:
    """Return what a weights file keeps of images' digests.

    Parameters
    ----------
    digests : iterable of str
        sha256 of each image file, 64 hexadecimal digits.

    Returns
    -------
    numpy.ndarray, shape (n,), uint64
        The first 8 bytes of each, big-endian; sorted, each once.

    Examples
    --------
    >>> short_digests(["00000000000000ff" + "0" * 48]).tolist()
    [255]
    """
    import numpy as np

    return np.unique(np.fromiter((int(digest[:16], 16) for digest in digests), dtype=np.uint64))
