"""What combiners without fitted parameters share: a constructor, and a fit that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Given = TypeVar("Given")


class NoOptions(BaseModel):
    """This combiner has no options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Unfitted:
    """A combiner whose options nothing is learned for."""

    def __init__(self, options: Any, members: Sequence[str]) -> None:
        self.options = options
        self.members = tuple(members)

    @classmethod
    def fit(
        cls,
        options: Given,
        members: Sequence[str],
        probabilities: NDArray[np.float64],
        labels: NDArray[np.int8],
        weights: NDArray[np.float64],
    ) -> Given:
        """Return `options`: there is nothing to fit."""
        return options
