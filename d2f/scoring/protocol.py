"""How images are brought alike before anything else is done to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

from d2f.api.inputs import ImageFile

Protocol: TypeAlias = Literal["matched", "as-is"]
Bring: TypeAlias = Callable[[ImageFile], ImageFile]


def bring_for_fitting(protocol: Protocol, seed: int) -> Bring:
    """Return what a fit does to each image: `d2f.data.matched.fitting` under ``matched``, nothing as it is."""
    from d2f.data.matched import fitting

    return partial(fitting, seed=seed) if protocol == "matched" else _as_it_is


def fitting_key(protocol: Protocol, seed: int) -> str:
    """Return what tells one way of bringing images for a fit from another; as they are, no seed is drawn from."""
    return f"fitting, seed {seed}" if protocol == "matched" else protocol


def bring_for_judging(protocol: Protocol) -> Bring:
    """Return what the bench does to each image: `d2f.data.matched.judging` under ``matched``, nothing as it is."""
    from d2f.data.matched import judging

    return judging if protocol == "matched" else _as_it_is


def _as_it_is(image: ImageFile) -> ImageFile:
    return image
