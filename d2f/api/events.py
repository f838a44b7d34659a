"""What observers of a run are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage has worked on a batch.

    Parameters
    ----------
    kind : str
        ``detector``, ``preprocessor``, ``decode`` or ``combiner``.
    name : str
        The detector's id in the chain, the preprocessor's name, or the kind itself.
    view : str
        The view's name; empty where there is none.
    images : int
        How many images the batch held.
    seconds : float
        Wall time, in seconds.
    """

    kind: str
    name: str
    view: str
    images: int
    seconds: float
