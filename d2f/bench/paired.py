"""Two chains compared on the same images and the same draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, repeat
from typing import Any

import numpy as np

from d2f.api.arrays import Labels
from d2f.bench.delong import difference_p
from d2f.bench.draws import holm, p_value
from d2f.bench.measured import Measured

COMPARED = ("auc", "tpr_at_5", "evasion")
ALL_PAIRS = 3


def comparisons(measured: Sequence[Measured], labels: Labels) -> Iterator[dict[str, Any]]:
    """Yield each pair of subjects, each figure of `COMPARED`, every attack.

    Of more than `ALL_PAIRS` subjects, each is compared with the first only.

    p-values are corrected over the attacks by Holm's method, figure by figure.
    """
    pairs = combinations(measured, 2) if len(measured) <= ALL_PAIRS else zip(repeat(measured[0]), measured[1:])
    for one, other in pairs:
        for figure in COMPARED:
            yield {
                "first": one.subject.name,
                "second": other.subject.name,
                "figure": figure,
                "attacks": _compared(one, other, figure, labels),
            }


def _compared(one: Measured, other: Measured, figure: str, labels: Labels) -> dict[str, Any]:
    differences = {copy: one.drawn[copy, figure] - other.drawn[copy, figure] for copy in one.copies}
    said = {copy: drawn for copy, drawn in differences.items() if not np.isnan(drawn[0])}
    raw = [p_value(drawn) if one.draws.varied else float("nan") for drawn in said.values()]
    found: dict[str, Any] = {}
    for copy, p, corrected in zip(said, raw, holm(raw), strict=True):
        found[copy] = {"difference": list(one.draws.interval(said[copy])), "p": p, "p_holm": corrected}
        if figure == "auc":
            found[copy]["p_delong"] = _delong(one, other, one.copies.index(copy), labels)
    return found


def _delong(one: Measured, other: Measured, copy: int, labels: Labels) -> float:
    first, second = (measured.subject.values[:, copy] for measured in (one, other))
    first, second = (
        np.where(np.isnan(values) & measured.subject.calibrated, 0.0, values)
        for values, measured in ((first, one), (second, other))
    )
    held = np.isfinite(first) & np.isfinite(second)
    return difference_p(labels[held], first[held], second[held])
