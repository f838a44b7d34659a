"""In which direction a filter pushes each member's calibrated log-odds, for each kind of image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from d2f.api.inputs import Floats, Labels
from d2f.evaluate.systems import System
from d2f.metrics import Draws, Interval
from wiener_finding.benched import COPIES


@dataclass(frozen=True)
class Push:
    """The change of one member's log-odds on one kind of images, filtered minus clean; greater is more generated.

    Parameters
    ----------
    member : str
    copy : int
        Place in `COPIES`.
    label : {0, 1}
    mean : Interval
        In nats; its bounds over draws of components.
    quartiles : tuple of float
        The lower, the median and the upper, in nats.
    deviations : float
        The mean over the deviation of the member's clean log-odds, all images together.
    images : int
        Those that have log-odds clean and filtered.
    """

    member: str
    copy: int
    label: int
    mean: Interval
    quartiles: tuple[float, float, float]
    deviations: float
    images: int


def pushes(members: Sequence[System], labels: Labels, draws: Draws) -> Iterator[Push]:
    """Yield, for each member and filter, the push on generated images and on photographs.

    A kind of which the member says nothing on either copy is left out.
    """
    for member in members:
        clean = member.values[:, 0]
        deviation = float(np.nanstd(clean)) if np.isfinite(clean).any() else 0.0
        for copy in range(1, len(COPIES)):
            change = member.values[:, copy] - clean
            for label in (1, 0):
                held = np.isfinite(change) & (labels == label)
                if held.any():
                    mean = draws.interval(_mean(change, held, draws.weights))
                    low, middle, high = (float(one) for one in np.quantile(change[held], (0.25, 0.5, 0.75)))
                    scaled = mean.value / deviation if deviation > 0 else float("nan")
                    yield Push(member.name, copy, label, mean, (low, middle, high), scaled, int(held.sum()))


def _mean(values: Floats, held: Floats, weights: Floats) -> Floats:
    total = weights @ held.astype(np.float64)
    summed = weights @ np.where(held, values, 0.0)
    mean: Floats = np.divide(summed, total, out=np.full(len(weights), np.nan), where=total > 0)
    return mean
