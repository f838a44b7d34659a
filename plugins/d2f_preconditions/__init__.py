"""Six preconditions: may the pixels of an image be judged at all?"""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Precondition, hookimpl


@hookimpl
def d2f_preconditions() -> Sequence[type[Precondition]]:
    """Return the six checks."""
    from d2f_preconditions.stages import Colour, Degraded, Framed, Photographic, Size, Thumbnail

    return [Colour, Photographic, Degraded, Framed, Size, Thumbnail]
