"""`temperature`: one scale, for scores that are logits already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from d2f_calibrators.logistic_curve import fit_logits, sigmoid
from d2f_calibrators.rounding import six_digits
from d2f_calibrators.targets import smoothed_targets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HOTTEST = 1000.0


class TemperatureOptions(BaseModel):
    """Options of `temperature`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(
        default=1.0,
        ge=1 / HOTTEST,
        le=HOTTEST,
        description="What logits are divided by: above 1 makes probabilities more cautious, below 1 bolder.",
    )


class Temperature:
    """Probability ``1 / (1 + exp(-score / temperature))``.

    Keeps direction and midpoint, so only for scores that are log-odds of `generated` at even prior, such as a chain's
    own log-likelihood ratio.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger, ICML 2017, arXiv:1706.04599.

    Examples
    --------
    >>> import numpy as np
    >>> Temperature(TemperatureOptions(temperature=2.0)).probability(np.array([0.0, 2 * np.log(3)])).round(4).tolist()
    [0.5, 0.75]
    """

    name = "temperature"
    summary = "One scale on scores that are logits already; direction and midpoint stay."
    Options = TemperatureOptions

    def __init__(self, options: TemperatureOptions) -> None:
        self.options = options

    def probability(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return P(generated | score) at even prior, shape (n,), in (0, 1)."""
        return sigmoid(scores / self.options.temperature)

    @classmethod
    def fit(
        cls, scores: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64]
    ) -> TemperatureOptions:
        """Fit the temperature; scores that point the wrong way, or nowhere, get the highest one."""
        import numpy as np

        size = float(np.sqrt(np.average(scores**2, weights=weights))) or 1.0
        (steepness,) = fit_logits((scores / size)[:, None], smoothed_targets(labels, weights), weights).tolist()
        temperature = size / steepness if steepness > 0 else HOTTEST
        return TemperatureOptions(temperature=six_digits(min(max(temperature, 1 / HOTTEST), HOTTEST)))
