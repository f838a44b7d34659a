"""The score of `photographic`, fitted on training images and drawn graphics; every figure out of fold."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from d2f_preconditions.graphics import WORDS, transformed
from d2f_preconditions.stages import ColourOptions
from numpy.typing import NDArray

from preconditions.measuring import Row

FITTED = Path(__file__).resolve().parents[2] / "plugins" / "d2f_preconditions" / "fitted.py"
FOLDS = 5
REFUSED = 0.0065
"""Share of colour photographs that `photographic` may refuse, out of fold: a part of the 2 % of all checks."""
PENALTY = 0.2
"""Inverse strength of the L2 penalty (scikit-learn's C)."""

TEXT = '''"""Weights and limit of `photographic`; written by docs/make_preconditions.py."""

from __future__ import annotations


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split())


PHOTOGRAPHIC = {{
{lines}}}
"""Scaling, weights and bias of `d2f_preconditions.graphics.graphics_score`, in the order of its `WORDS`."""

PHOTOGRAPHIC_LIMIT = {limit:.2f}
"""Score that {refused:.1%} of {photographs} colour photographs reach, out of fold by collection."""
'''


@dataclass(frozen=True)
class Score:
    """A quadratic score: scaling and weights, as `d2f_preconditions.fitted` holds them."""

    middle: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float

    def __call__(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores of figures (n, 13)."""
        z = (table - self.middle) / self.scale
        return np.hstack([z, z**2]) @ self.weights + self.bias


def is_colour_photograph(row: Row) -> bool:
    """Return whether a row is of a photograph that is not grey."""
    return bool(row["label"] == 0 and row["colour.channels"] > ColourOptions().grey)


def table(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return the transformed figures, shape (n, 13)."""
    return np.array([transformed({name: row[f"photographic.{name}"] for name in WORDS}) for row in rows])


def fold_of(name: str) -> int:
    """Return the fold of a collection, or of a graphic."""
    return zlib.crc32(name.encode()) % FOLDS


def fitted(photographs: NDArray[np.float64], graphics: NDArray[np.float64]) -> Score:
    """Fit a score to figures (n, 13) of both."""
    from sklearn.linear_model import LogisticRegression

    middle, scale = np.median(photographs, axis=0), photographs.std(axis=0)
    z = (np.vstack([photographs, graphics]) - middle) / scale
    labels = np.repeat([0, 1], [len(photographs), len(graphics)])
    model = LogisticRegression(C=PENALTY, max_iter=5000).fit(np.hstack([z, z**2]), labels)
    return Score(middle, scale, model.coef_[0], float(model.intercept_[0]))


def out_of_fold(rows: Sequence[Row], graphics: Sequence[Row], key: str = "path") -> tuple[NDArray[Any], NDArray[Any]]:
    """Return scores of photographs and of graphics by fits without their fold; `key` names a graphic's group."""
    tables = table(rows), table(graphics)
    folds = (
        np.array([fold_of(row["collection"]) for row in rows]),
        np.array([fold_of(row[key]) for row in graphics]),
    )
    scores = np.zeros(len(rows)), np.zeros(len(graphics))
    for fold in range(FOLDS):
        score = fitted(*(one[which != fold] for one, which in zip(tables, folds, strict=True)))
        for one, which, out in zip(tables, folds, scores, strict=True):
            out[which == fold] = score(one[which == fold])
    return scores


def write(photographs: Sequence[Row], graphics: Sequence[Row]) -> float:
    """Fit to all, choose the limit out of fold, write the module; return the limit."""
    score = fitted(table(photographs), table(graphics))
    held_out, _ = out_of_fold(photographs, graphics)
    limit = float(np.round(np.quantile(held_out, 1 - REFUSED), 2))
    half = len(WORDS)
    parts: Mapping[str, Sequence[float]] = {
        "middle": score.middle,
        "scale": score.scale,
        "linear": score.weights[:half],
        "square": score.weights[half:],
        "bias": [score.bias],
    }
    lines = [
        f'    "{key}": _numbers("{" ".join(f"{value:.4g}" for value in values)}"),\n' for key, values in parts.items()
    ]
    share = float((held_out >= limit).mean())
    FITTED.write_text(
        TEXT.format(lines="".join(lines), limit=limit, refused=share, photographs=len(photographs)), "utf-8"
    )
    return limit
