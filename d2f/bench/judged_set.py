"""A chain run over a labelled set: its scores, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2f.api.arrays import Floats, Labels
from d2f.api.errors import D2FError
from d2f.data.dataset import Dataset
from d2f.engine.judge import Judge
from d2f.scoring.protocol import Protocol, bring_for_judging
from d2f.scoring.score_set import score_set
from d2f.scoring.table import ScoreTable

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.scoring.attack import Attack


@dataclass(frozen=True)
class JudgedSet:
    """Judgements of a chain, one for each image and copy.

    Parameters
    ----------
    chain : str
        Its name.
    digest : str
        Its digest.
    protocol : {'matched', 'as-is'}
    table : ScoreTable
    llr, probability : numpy.ndarray, shape (images, copies), float64
        NaN where the chain has no verdict.
    real_below, generated_above : float
        The chain's thresholds.
    """

    chain: str
    digest: str
    protocol: Protocol
    table: ScoreTable
    llr: Floats
    probability: Floats
    real_below: float
    generated_above: float

    @property
    def labels(self) -> Labels:
        """Labels of the images, shape (images,)."""
        return self.table.labels


def judge_set(
    chain: Chain,
    images: Dataset,
    protocol: Protocol = "matched",
    attacks: Sequence[Attack] = (),
    *,
    workers: int | None = None,
    tick: Callable[[], None] | None = None,
) -> JudgedSet:
    """Run a chain over a set, brought alike by the protocol, clean and under each attack.

    Raises
    ------
    D2FError
        D2F127 for a chain that is not fitted, and whatever scoring raises.
    """
    if not chain.file.calibrate:
        raise D2FError.of("D2F127", f"chain '{chain.name}' is not fitted", "fit it first: d2f chain fit")
    table = score_set(chain.plan, images, bring_for_judging(protocol), attacks, workers=workers, tick=tick)
    judged = Judge(chain.plan).probabilities(table.flat())
    shape = table.scores.shape[:2]
    rule = chain.file.verdict
    return JudgedSet(
        chain.name,
        chain.digest,
        protocol,
        table,
        judged.llr.reshape(shape),
        judged.probability.reshape(shape),
        rule.real_below,
        rule.generated_above,
    )
