"""`platt`: a logistic curve on the score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from d2f_calibrators.logistic_curve import fit_logits, sigmoid
from d2f_calibrators.rounding import six_digits
from d2f_calibrators.targets import smoothed_targets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PlattOptions(BaseModel):
    """Options of `platt`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slope: float = Field(
        default=1.0,
        allow_inf_nan=False,
        description="Nats a unit of score; negative where a higher score means a photograph.",
    )
    bias: float = Field(default=0.0, allow_inf_nan=False, description="Log-odds of a score of 0, in nats.")


class Platt:
    """Probability ``1 / (1 + exp(-(slope * score + bias)))``.

    Two parameters, so a few dozen images a class suffice; right where scores of both classes are bell-shaped and
    equally wide. The slope's sign is free.

    References
    ----------
    Platt 1999 (see `d2f_calibrators.targets`), with smoothed targets; fitted as Lin, Lin and Weng 2007.

    Examples
    --------
    >>> import numpy as np
    >>> Platt(PlattOptions(slope=-2.0, bias=1.0)).probability(np.array([0.5])).tolist()
    [0.5]
    """

    name = "platt"
    summary = "A logistic curve on the score: two parameters, sign free."
    Options = PlattOptions

    def __init__(self, options: PlattOptions) -> None:
        self.options = options

    def probability(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return P(generated | score) at even prior, shape (n,), in (0, 1)."""
        return sigmoid(self.options.slope * scores + self.options.bias)

    @classmethod
    def fit(cls, scores: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64]) -> PlattOptions:
        """Fit slope and bias; the score is standardised on the way and the result stated on its own scale."""
        import numpy as np

        mean = float(np.average(scores, weights=weights))
        deviation = float(np.sqrt(np.average((scores - mean) ** 2, weights=weights)))
        # A constant score says nothing: slope 0, whatever its rounding noise is.
        spread = deviation if deviation > 1e-9 * max(1.0, abs(mean)) else float("inf")
        columns = np.stack([(scores - mean) / spread, np.ones(len(scores))], axis=1)
        steepness, middle = fit_logits(columns, smoothed_targets(labels, weights), weights).tolist()
        slope = six_digits(steepness / spread)
        # From the rounded slope, to a fixed number of decimals: scores may lie far from 0 and close together.
        return PlattOptions(slope=slope, bias=round(middle - slope * mean, 6) + 0.0)
