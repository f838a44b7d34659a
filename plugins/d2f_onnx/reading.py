"""From a classifier's output to the log odds of `generated`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST = 1e-7
"""Probabilities are cut to [SMALLEST, 1 - SMALLEST], about the last that float32 tells from 1."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the numbers of an output mean.

    Parameters
    ----------
    gives : {'logit', 'probability'}
    generated : int or None
        Of more than one number: the place of `generated`.
    higher : {'generated', 'real'}
        Of one number: what a higher one says.
    """

    gives: Literal["logit", "probability"] = "logit"
    generated: int | None = None
    higher: Literal["generated", "real"] = "generated"

    def scores(self, output: NDArray[Any]) -> NDArray[np.float64]:
        """Return the log odds of `generated` of each row, shape (n,), float64, from an output (n, …).

        Of one number: the logit, or ln p / (1 - p), with its sign turned where a higher one says `real`. Of more,
        with g the place of `generated`: x_g - ln sum over the others of exp x, or ln p_g / (1 - p_g).

        Raises
        ------
        ValueError
            More than one number and no place, or one that there is not.
        """
        import numpy as np

        rows = output.reshape(len(output), -1).astype(np.float64)
        count = rows.shape[1]
        if count == 1:
            values = rows[:, 0] if self.gives == "logit" else _log_odds(rows[:, 0])
            return values if self.higher == "generated" else -values
        if self.generated is None:
            raise ValueError(f"the output has {count} numbers: say by `generated` which of them stands for generated")
        if self.generated >= count:
            raise ValueError(f"the output has {count} numbers, from 0: there is no {self.generated}")
        own = rows[:, self.generated]
        if self.gives == "probability":
            return _log_odds(own)
        others = np.delete(rows, self.generated, axis=1)
        scores: NDArray[np.float64] = own - np.logaddexp.reduce(others, axis=1)
        return scores


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    inside = np.clip(probability, SMALLEST, 1 - SMALLEST)
    odds: NDArray[np.float64] = np.log(inside) - np.log1p(-inside)
    return odds
