"""`logistic`: a fitted weight for every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from d2f import Combination, D2FError
from d2f_combiners.logits import logits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Finite = Annotated[float, Field(allow_inf_nan=False)]


class LogisticOptions(BaseModel):
    """Options of `logistic`: all but `penalty` are written by `d2f chain fit`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: dict[str, Finite] = Field(
        default={}, description="Weight of each cell's logit, by id/view; negative where the cell speaks against."
    )
    absent: dict[str, Finite] = Field(
        default={}, description="Nats added where a cell has no probability, by id/view; 0 for a cell not named."
    )
    bias: Finite = Field(default=0.0, description="Nats added to every image.")
    penalty: float = Field(
        default=0.01, gt=0.0, allow_inf_nan=False, description="Pull of the fit towards the mean of all logits."
    )


class Logistic:
    """llr = bias + sum over cells of weight * logit, or of the cell's `absent` where it has no probability.

    Fitted by logistic regression. What is minimised is the weighted mean cross-entropy plus
    ``penalty / 2`` times the squared distance of the weights from 1 / cells and of `absent` from 0, so that with few
    images the result nears `logit-mean`; the bias is free. Signs are free. A cell contributes weight * logit; an
    absent one contributes 0, its offset counts with the bias.

    Raises
    ------
    D2FError
        D2F127 without weights; D2F122 where `weights` and the chain's cells differ.

    References
    ----------
    Brümmer et al., IEEE TASLP 15 (2007), doi:10.1109/TASL.2007.902870 (logistic fusion).

    Examples
    --------
    >>> import numpy as np
    >>> options = LogisticOptions(weights={"a/plain": 1.0, "b/plain": -0.5}, absent={"b/plain": 0.2}, bias=0.1)
    >>> combiner = Logistic(options, ["a/plain", "b/plain"])
    >>> combiner.combine(np.array([[0.75, 0.75], [0.75, np.nan]])).llr.round(3).tolist()
    [0.649, 1.399]
    """

    name = "logistic"
    summary = "Logistic regression on the cells' logits: weights of either sign, abstentions counted."
    Options = LogisticOptions

    def __init__(self, options: LogisticOptions, cells: Sequence[str]) -> None:
        if not options.weights:
            raise D2FError.of("D2F127", "combiner 'logistic' has no weights", "fit the chain: d2f chain fit")
        _need_equal(options, cells)
        self.options = options
        self.cells = tuple(cells)

    def combine(self, probabilities: NDArray[np.float64]) -> Combination:
        """Combine probabilities (n, cells), NaN where a cell has none."""
        import numpy as np

        weights = np.array([self.options.weights[cell] for cell in self.cells])
        offsets = np.array([self.options.absent.get(cell, 0.0) for cell in self.cells])
        absent = np.isnan(probabilities)
        contributions = np.where(absent, 0.0, weights * logits(probabilities))
        return Combination(self.options.bias + (contributions + absent * offsets).sum(axis=1), contributions)

    @classmethod
    def fit(
        cls,
        options: LogisticOptions,
        cells: Sequence[str],
        probabilities: NDArray[np.float64],
        labels: NDArray[np.int8],
        weights: NDArray[np.float64],
    ) -> LogisticOptions:
        """Fit weights, offsets and bias; a cell that is never, or always, absent gets no offset."""
        import numpy as np

        from d2f_combiners.penalised import fit_penalised

        absent = np.isnan(probabilities)
        varies = np.logical_and(absent.any(axis=0), ~absent.all(axis=0))
        columns = np.hstack([np.where(absent, 0.0, logits(probabilities)), absent[:, varies].astype(np.float64)])
        towards = np.concatenate([np.full(len(cells), 1 / len(cells)), np.zeros(int(varies.sum()))])
        bias, *found = fit_penalised(columns, labels, weights, towards, options.penalty).tolist()
        named = [cell for cell, differs in zip(cells, varies.tolist(), strict=True) if differs]
        return LogisticOptions(
            weights=_rounded(dict(zip(cells, found, strict=False))),
            absent=_rounded(dict(zip(named, found[len(cells) :], strict=True))),
            bias=round(bias, 6) + 0.0,
            penalty=options.penalty,
        )


def _rounded(parameters: Mapping[str, float]) -> dict[str, float]:
    return {cell: round(value, 6) + 0.0 for cell, value in parameters.items()}


def _need_equal(options: LogisticOptions, cells: Sequence[str]) -> None:
    lacking = [cell for cell in cells if cell not in options.weights]
    strange = [cell for cell in (*options.weights, *options.absent) if cell not in cells]
    if lacking or strange:
        what = f"no weight for {', '.join(lacking)}" if lacking else f"a weight for {strange[0]}, not a cell"
        raise D2FError.of("D2F122", f"combiner 'logistic' has {what}", "fit the chain again: d2f chain fit")
