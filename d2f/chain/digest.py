"""The digest of a chain: equal where results are equal, however the file is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from d2f.api.weights import Weights
    from d2f.chain.model import ChainFile


def canonical(value: Any) -> str:
    """Return plain data as JSON with sorted keys, no blanks, and one spelling of each number.

    >>> canonical({"b": 1.0, "a": [True, 0.5]})
    '{"a":[true,0.5],"b":1}'
    """
    return json.dumps(_one_spelling(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _one_spelling(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _one_spelling(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_one_spelling(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def stage_facts(use: str, options: Mapping[str, Any], weights: Sequence[Weights] = ()) -> dict[str, Any]:
    """Return what identifies a stage: its name, its options with their defaults, the digests of its weights."""
    facts: dict[str, Any] = {"use": use, "with": dict(options)}
    if weights:
        facts["weights"] = sorted(record.sha256 for record in weights)
    return facts


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
