"""What stands in for a combiner that has to be fitted first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from d2f.api.outcomes import Combination

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2f.api.arrays import Floats, Labels


class NoOptions(BaseModel):
    """None."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Unfitted:
    """A combiner that has nothing to say; a plan that holds it needs more cells than it has."""

    name = "unfitted"
    summary = "Stands in for a combiner that has to be fitted first."

    Options = NoOptions

    def __init__(self, options: Any = None, cells: Sequence[str] = ()) -> None:
        self.cells = tuple(cells)

    def combine(self, probabilities: Floats) -> Combination:
        """Return a ratio of 0 for every image."""
        import numpy as np

        return Combination(np.zeros(len(probabilities)), np.zeros(probabilities.shape))

    @classmethod
    def fit(
        cls, options: Any, cells: Sequence[str], probabilities: Floats, labels: Labels, weights: Floats
    ) -> BaseModel:
        """Return the options it was given: there is nothing to fit."""
        fitted: BaseModel = options
        return fitted
