"""`logistic`: a fitted weight for every member."""

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
        default={}, description="Weight of each member's logit, by id/view; negative where the member speaks against."
    )
    absent: dict[str, Finite] = Field(
        default={}, description="Nats added where a member has no probability, by id/view; 0 for a member not named."
    )
    bias: Finite = Field(default=0.0, description="Nats added to every image.")
    penalty: float = Field(
        default=0.01, gt=0.0, allow_inf_nan=False, description="Pull of the fit towards the mean of all logits."
    )


class Logistic:
    """llr = bias + sum over members of weight * logit, or of the member's `absent` where it has no probability.

    Fitted by logistic regression. What is minimised is the weighted mean cross-entropy plus
    ``penalty / 2`` times the squared distance of the weights from 1 / members and of `absent` from 0, so that with few
    images the result nears `logit-mean`; the bias is free. Signs are free. A member contributes weight * logit; an
    absent one contributes 0, its offset counts with the bias.

    Raises
    ------
    D2FError
        D2F127 without weights; D2F122 where `weights` and the chain's members differ.

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
    summary = "Logistic regression on the members' logits: weights of either sign, abstentions counted."
    Options = LogisticOptions

    def __init__(self, options: LogisticOptions, members: Sequence[str]) -> None:
        if not options.weights:
            raise D2FError.of("D2F127", "combiner 'logistic' has no weights", "fit the chain: d2f chain fit")
        _need_equal(options, members)
        self.options = options
        self.members = tuple(members)

    def combine(self, probabilities: NDArray[np.float64]) -> Combination:
        """Combine probabilities (n, members), NaN where a member has none."""
        import numpy as np

        weights = np.array([self.options.weights[member] for member in self.members])
        offsets = np.array([self.options.absent.get(member, 0.0) for member in self.members])
        absent = np.isnan(probabilities)
        contributions = np.where(absent, 0.0, weights * logits(probabilities))
        return Combination(self.options.bias + (contributions + absent * offsets).sum(axis=1), contributions)

    @classmethod
    def fit(
        cls,
        options: LogisticOptions,
        members: Sequence[str],
        probabilities: NDArray[np.float64],
        labels: NDArray[np.int8],
        weights: NDArray[np.float64],
    ) -> LogisticOptions:
        """Fit weights, offsets and bias; a member that is never, or always, absent gets no offset."""
        import numpy as np

        from d2f_combiners.penalised import fit_penalised

        absent = np.isnan(probabilities)
        varies = np.logical_and(absent.any(axis=0), ~absent.all(axis=0))
        columns = np.hstack([np.where(absent, 0.0, logits(probabilities)), absent[:, varies].astype(np.float64)])
        towards = np.concatenate([np.full(len(members), 1 / len(members)), np.zeros(int(varies.sum()))])
        bias, *found = fit_penalised(columns, labels, weights, towards, options.penalty).tolist()
        named = [member for member, differs in zip(members, varies.tolist(), strict=True) if differs]
        return LogisticOptions(
            weights=_rounded(dict(zip(members, found, strict=False))),
            absent=_rounded(dict(zip(named, found[len(members) :], strict=True))),
            bias=round(bias, 6) + 0.0,
            penalty=options.penalty,
        )


def _rounded(parameters: Mapping[str, float]) -> dict[str, float]:
    return {member: round(value, 6) + 0.0 for member, value in parameters.items()}


def _need_equal(options: LogisticOptions, members: Sequence[str]) -> None:
    lacking = [member for member in members if member not in options.weights]
    strange = [member for member in (*options.weights, *options.absent) if member not in members]
    if lacking or strange:
        what = f"no weight for {', '.join(lacking)}" if lacking else f"a weight for {strange[0]}, not a member"
        raise D2FError.of("D2F122", f"combiner 'logistic' has {what}", "fit the chain again: d2f chain fit")
