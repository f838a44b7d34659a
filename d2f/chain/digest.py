"""The digest of a chain: equal where results are equal, however the file is written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from d2f.plugins.identity import canonical

if TYPE_CHECKING:
    from d2f.chain.model import ChainFile


def chain_digest(file: ChainFile, facts: Mapping[tuple[str | int, ...], Mapping[str, Any]]) -> str:
    """Return the sha256, in hexadecimal, of everything in a chain that its results depend on.

    That is: the views that are looked at, the detectors and their order, the calibrations, the combination,
    the prior and the two thresholds; not the name, the description, the images or what it was fitted on.

    Parameters
    ----------
    file : ChainFile
        The chain.
    facts : mapping
        `stage_facts` of every stage, by its path in the file.
    """
    used = {view for detector in file.detectors for view in detector.views}
    verdict = file.verdict
    document = {
        "d2f": file.d2f,
        "views": {
            name: [facts["views", name, index] for index in range(len(steps))]
            for name, steps in file.views.items()
            if name in used
        },
        "detectors": [
            {"id": detector.id, "views": detector.views, **facts["detectors", index]}
            for index, detector in enumerate(file.detectors)
        ],
        "calibrate": {cell: facts["calibrate", cell] for cell in file.calibrate},
        "combine": {**facts["combine",], "need": file.combine.need, "calibrate": facts.get(("combine", "calibrate"))},
        "verdict": {
            "prior": verdict.prior,
            "real_below": verdict.real_below,
            "generated_above": verdict.generated_above,
        },
    }
    return hashlib.sha256(canonical(document).encode()).hexdigest()
