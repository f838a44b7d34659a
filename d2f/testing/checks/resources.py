"""What an image costs, and that nothing of it is kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from d2f.api.inputs import FileBytes, Tiles
from d2f.testing.batches import ask
from d2f.testing.camera import camera_picture
from d2f.testing.check import Failed, check, fail_if
from d2f.testing.cost import in_bytes, left_behind, measured
from d2f.testing.image_files import image_file
from d2f.testing.subject import Subject

if TYPE_CHECKING:
    from d2f.api.arrays import Pixels

SIDE = 512
MANY = 4
"""Pictures over which memory must not grow."""


@check("an image's cost is bounded")
def cost(subject: Subject) -> str:
    """Time and memory of one picture; the bounds are generous, the figures are for its author."""
    call = _call(subject)
    picture = _picture(SIDE, 21)
    call(picture)
    found = measured(lambda: call(picture))
    fail_if(found.excess(), "work on tiles, or on a smaller copy: memory is shared with everything else in the chain")
    return str(found)


@check("it keeps nothing of an image")
def retention(subject: Subject) -> str:
    """After some pictures more of one size, memory is what it was: a run may be a million images long."""
    call = _call(subject)
    many = [_picture(SIDE // 2, 22 + number) for number in range(MANY)]
    call(many[0])
    kept = left_behind(lambda: [call(picture) for picture in many])
    if kept > sum(picture.nbytes for picture in many) // 2:
        raise Failed(
            f"{in_bytes(kept)} more are held after {MANY} pictures of {SIDE // 2}x{SIDE // 2}",
            "keep no picture, and nothing of its size, on self or in a cache",
        )
    return ""


@cache
def _picture(side: int, seed: int) -> Pixels:
    return camera_picture(side, side, seed=seed)


def _call(subject: Subject) -> Callable[[Pixels], Any]:
    """Return a call that gives one picture to the stage."""
    stage = subject.instance
    if subject.kind == "preprocessor":
        return lambda picture: stage.apply(picture, 1)
    if subject.kind == "trainable":
        return lambda picture: stage.features(picture)
    wants = stage.wants

    def score(picture: Pixels) -> object:
        element: Any = image_file(picture, "camera", "JPEG") if isinstance(wants, FileBytes) else picture
        if isinstance(wants, Tiles):
            element = _picture(wants.size, 22)
        return ask(subject, stage, {"camera": element})

    return score
