"""Chroma subsampling by its usual name."""

from __future__ import annotations

from collections.abc import Sequence

_NAMES = {(1, 1): "4:4:4", (2, 1): "4:2:2", (1, 2): "4:4:0", (2, 2): "4:2:0", (4, 1): "4:1:1", (4, 2): "4:1:0"}


def chroma_subsampling(factors: Sequence[tuple[int, int]]) -> str:
    """Return the name of a JPEG's sampling factors.

    Parameters
    ----------
    factors : sequence of (int, int)
        Horizontal and vertical factor of each component, as the frame header states them (ITU-T T.81, B.2.2).

    Returns
    -------
    str
        ``"4:2:0"`` and the like; ``"grey"`` for one component; ``"2x3"`` and the like for what has no name.

    Examples
    --------
    >>> chroma_subsampling([(2, 2), (1, 1), (1, 1)]), chroma_subsampling([(1, 1)])
    ('4:2:0', 'grey')
    """
    if len(factors) == 1:
        return "grey"
    (luma_x, luma_y), (chroma_x, chroma_y) = factors[0], factors[1]
    if luma_x % chroma_x or luma_y % chroma_y:
        return f"{luma_x}/{chroma_x}x{luma_y}/{chroma_y}"
    ratio = luma_x // chroma_x, luma_y // chroma_y
    return _NAMES.get(ratio, f"{ratio[0]}x{ratio[1]}")
