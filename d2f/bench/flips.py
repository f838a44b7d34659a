"""The images whose verdict an attack turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from d2f.bench.subject import INCONCLUSIVE, Subject
from d2f.data.dataset import Dataset

LISTED = 500
"""Images listed of one chain, those turned by most attacks first; the rows hold all."""
WORDS = {1: "generated", 0: "inconclusive", -1: "real"}


def flips(subject: Subject, images: Dataset, copies: Sequence[str]) -> list[dict[str, Any]]:
    """Return the images that have a clean verdict and another one under some attack.

    One that turns to the opposite counts more than one that turns inconclusive.
    """
    if subject.verdicts is None or len(copies) < 2:
        return []
    clean = subject.verdicts[:, :1].astype(int)
    distance = np.where(clean == INCONCLUSIVE, 0, np.abs(subject.verdicts - clean))
    turned = distance.sum(axis=1)
    order = np.argsort(-turned, kind="stable")[: min(LISTED, int((turned > 0).sum()))]
    return [
        {
            "path": images[int(i)].path,
            "label": WORDS[1 if images[int(i)].label else -1],
            "generator": images[int(i)].generator,
            "clean": WORDS[int(clean[i, 0])],
            "turned": {
                copies[copy]: WORDS[int(subject.verdicts[i, copy])] for copy in np.flatnonzero(distance[i]).tolist()
            },
        }
        for i in order
    ]
