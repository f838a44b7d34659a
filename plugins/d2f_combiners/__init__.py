"""The combiners `logit-mean`, `vote`, `max`, `noisy-or` and `logistic`: members' probabilities to one ratio."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Combiner, hookimpl


@hookimpl
def d2f_combiners() -> Sequence[type[Combiner]]:
    """Return the five combiners."""
    from d2f_combiners.logistic import Logistic
    from d2f_combiners.logit_mean import LogitMean
    from d2f_combiners.maximum import Maximum
    from d2f_combiners.noisy_or import NoisyOr
    from d2f_combiners.vote import Vote

    return [Logistic, LogitMean, Vote, Maximum, NoisyOr]
