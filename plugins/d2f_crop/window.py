"""Windows of a picture, by place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def kept_size(
    size: tuple[int, int], target: int | tuple[int, int] | None = None, fraction: float | None = None
) -> tuple[int, int]:
    """Return width and height of the window, neither longer than the picture's.

    Parameters
    ----------
    size : (int, int)
        Width and height of the picture in pixels.
    target : int or (int, int), optional
        Side of a square, or width and height, in pixels.
    fraction : float, optional
        Without `target`: share of each side, in (0, 1]; rounded half to even, at least one pixel. Default: all.

    Returns
    -------
    (int, int)
        Width and height.

    Examples
    --------
    >>> kept_size((640, 200), target=224)
    (224, 200)
    >>> kept_size((640, 200), fraction=0.8)
    (512, 160)
    """
    if target is None:
        share = 1.0 if fraction is None else fraction
        return max(1, round(size[0] * share)), max(1, round(size[1] * share))
    wanted = target if isinstance(target, tuple) else (target, target)
    return min(wanted[0], size[0]), min(wanted[1], size[1])


def crop(image: NDArray[np.uint8], size: tuple[int, int], at: str = "centre", seed: int = 0) -> NDArray[np.uint8]:
    """Cut a window out of a picture.

    Parameters
    ----------
    image : numpy.ndarray, shape (height, width, 3), uint8
    size : (int, int)
        Width and height of the window in pixels, not longer than the picture's.
    at : {'centre', 'random', 'top-left', 'top-right', 'bottom-left', 'bottom-right'}
        An odd rest in the middle leaves one pixel more at the right and the bottom. `random` draws row
        and column uniformly by NumPy's PCG64.
    seed : int
        For `random`; equal seeds give equal places.

    Returns
    -------
    numpy.ndarray, shape (size[1], size[0], 3), uint8
        A copy.

    Examples
    --------
    >>> picture = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3)
    >>> crop(picture, (2, 2))[0, 0, 0] == picture[1, 1, 0]
    np.True_
    """
    across, down = image.shape[1] - size[0], image.shape[0] - size[1]
    if at == "random":
        left, top = np.random.Generator(np.random.PCG64(seed)).integers(0, [across + 1, down + 1])
    elif at == "centre":
        left, top = across // 2, down // 2
    else:
        left, top = across * at.endswith("right"), down * at.startswith("bottom")
    return image[top : top + size[1], left : left + size[0]].copy()
