"""`isotonic`: any curve that only rises, or only falls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from d2f_calibrators.pooling import Block, pooled
from d2f_calibrators.rounding import six_digits
from d2f_calibrators.targets import effective_count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Points = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

Finite = Annotated[float, Field(allow_inf_nan=False)]
Open = Annotated[float, Field(gt=0.0, lt=1.0)]


class IsotonicOptions(BaseModel):
    """Options of `isotonic`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scores: tuple[Finite, ...] = Field(default=(0.0,), min_length=1, description="The knots' scores, ascending.")
    probabilities: tuple[Open, ...] = Field(
        default=(0.5,), min_length=1, description="The knots' probabilities, all rising or all falling, never 0 or 1."
    )

    @model_validator(mode="after")
    def _one_curve(self) -> IsotonicOptions:
        if len(self.scores) != len(self.probabilities):
            raise ValueError(f"{len(self.scores)} scores and {len(self.probabilities)} probabilities: as many of each")
        if list(self.scores) != sorted(self.scores):
            raise ValueError("scores must ascend")
        rising = sorted(self.probabilities)
        if list(self.probabilities) not in (rising, rising[::-1]):
            raise ValueError("probabilities must only rise or only fall")
        return self


class Isotonic:
    """Piecewise linear curve through knots, level outside them.

    Fitted by pooling adjacent violators, so it follows any monotone relation; it wants some hundred images a class. The
    direction is that of the rank correlation of score and label. One dummy image of the wrong label stands at
    either end (Laplace's rule of succession), so that no score is ever called certain.

    References
    ----------
    Zadrozny and Elkan, KDD 2002, doi:10.1145/775047.775151. Brümmer and du Preez 2013, arXiv:1304.2331 (dummies).

    Examples
    --------
    >>> import numpy as np
    >>> curve = Isotonic(IsotonicOptions(scores=(0.0, 1.0), probabilities=(0.9, 0.1)))
    >>> curve.probability(np.array([-1.0, 0.25, 7.0])).tolist()
    [0.9, 0.7, 0.1]
    """

    name = "isotonic"
    summary = "Any curve that only rises or only falls, by pooling adjacent violators."
    Options = IsotonicOptions

    def __init__(self, options: IsotonicOptions) -> None:
        self.options = options

    def probability(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return P(generated | score) at even prior, shape (n,), in (0, 1)."""
        import numpy as np

        return np.interp(scores, self.options.scores, self.options.probabilities)

    @classmethod
    def fit(
        cls, scores: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64]
    ) -> IsotonicOptions:
        """Fit the knots; a block of several scores gets one knot at either end."""

        kept = weights > 0
        places, real, generated = _by_score(scores[kept], labels[kept], weights[kept])
        turn = slice(None, None, 1 if _rises(real, generated) else -1)
        dummy = float(weights.sum()) / effective_count(weights)
        values, mass = _with_dummies(real[turn], generated[turn], dummy)
        knots = _knots(pooled(values, mass), places[turn])
        ordered = sorted(dict.fromkeys(knots[turn]), key=lambda knot: knot[0])
        return IsotonicOptions(scores=tuple(s for s, _ in ordered), probabilities=tuple(p for _, p in ordered))


def _by_score(scores: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64]) -> Points:
    import numpy as np

    places, at = np.unique(scores, return_inverse=True)
    real, generated = (
        np.bincount(at, weights * (labels == label), minlength=len(places)).astype(np.float64) for label in (0, 1)
    )
    return places, real, generated


def _rises(real: NDArray[np.float64], generated: NDArray[np.float64]) -> bool:
    """Whether generated images' scores rank higher, ties counting half."""
    import numpy as np

    above = (generated * (np.cumsum(real) - real / 2)).sum()
    return bool(above >= real.sum() * generated.sum() / 2)


def _with_dummies(
    real: NDArray[np.float64], generated: NDArray[np.float64], dummy: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of generated images and masses, with a generated image put first and a photograph last."""
    import numpy as np

    mass = np.concatenate([[dummy], real + generated, [dummy]])
    return np.concatenate([[dummy], generated, [0.0]]) / mass, mass


def _knots(blocks: list[Block], places: NDArray[np.float64]) -> list[tuple[float, float]]:
    knots = []
    for block in blocks:
        # Indices count from the first dummy; neither dummy has a score.
        first, last = max(block.first - 1, 0), min(block.last - 1, len(places) - 1)
        knots += [(six_digits(places[i]), six_digits(block.value)) for i in (first, last)]
    return knots
