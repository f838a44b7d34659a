"""A plan run over images in one call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from d2f.api.inputs import ImageFile
from d2f.engine.ahead import load_ahead
from d2f.engine.local import LocalEngine
from d2f.engine.plan import Plan
from d2f.engine.scored import Scored
from d2f.engine.watch import Observe
from d2f.reading.image import Unread

__all__ = ["LocalEngine", "Scored", "Unread", "load_ahead", "score_images"]


def score_images(
    plan: Plan,
    images: Iterable[ImageFile | Unread],
    *,
    workers: int | None = None,
    observe: Observe | None = None,
) -> Iterator[Scored]:
    """Load a plan's stages and score images, in order.

    Parameters
    ----------
    plan : Plan
        Its decision is not used; see `Judge` for the rows.
    images : iterable of ImageFile or Unread
        Such as `load_ahead` yields. Taken lazily; a bounded number is in flight.
    workers : int, optional
        Threads; by default the cores that the process may use. Scores do not depend on it.
    observe : callable, optional
        Told of every stage that has finished.

    Returns
    -------
    iterator of Scored
        One for each image. Close it (or exhaust it) to end the workers.

    Raises
    ------
    D2FError
        Exit code 3, at the call, where a stage cannot be loaded.
    """
    engine = LocalEngine(plan, workers, observe)
    engine.load()
    return engine.score(images)
