"""Seeds of random steps: drawn from the image's bytes and the step, never from the order of a run."""

from __future__ import annotations

from hashlib import blake2b


def step_seed(image_seed: int, place: int, key: str) -> int:
    """Return the 64-bit seed that a preprocessor is given.

    The first 8 bytes, big-endian, of BLAKE2b over ``"<image seed>/<place>/<key>"`` in UTF-8.

    Parameters
    ----------
    image_seed : int
        `ImageFile.seed`.
    place : int
        The step's position in its view, from 0, so that the same step laid twice draws anew.
    key : str
        `Step.key`.

    Examples
    --------
    >>> step_seed(7, 0, "noise sigma=2") == step_seed(7, 1, "noise sigma=2")
    False
    """
    digest = blake2b(f"{image_seed}/{place}/{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
