"""A row in words for a person who knows neither chains nor likelihood ratios.

Strength is given by the verbal scale of the ENFSI guideline for evaluative reporting in forensic science (2015, table
1), and only for likelihood ratios, never for a bare score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from d2f.api.rows import Row

if TYPE_CHECKING:
    from d2f.chain.chain import Chain

VERDICTS = {"generated": "AI-generated", "real": "no sign of generation", "inconclusive": "inconclusive"}
STRENGTHS = (
    (2.0, "no"),
    (10.0, "weak"),
    (100.0, "moderate"),
    (1e3, "moderately strong"),
    (1e4, "strong"),
    (1e6, "very strong"),
    (math.inf, "extremely strong"),
)
"""Upper bounds of the likelihood ratio, each with its words."""


def strength(llr: float) -> str:
    """Return the support that a log-likelihood ratio (nats) gives, with its direction.

    >>> strength(3.0), strength(-5.5), strength(0.2)
    ('moderate support for AI-generated', 'moderately strong support for a camera image', 'no support either way')
    """
    ratio = math.exp(min(abs(llr), 700.0))
    words = next(words for bound, words in STRENGTHS if ratio < bound)
    if words == "no":
        return "no support either way"
    return f"{words} support for {'AI-generated' if llr > 0 else 'a camera image'}"


def percent(probability: float) -> str:
    """Return a probability for a person; never 0 or 100.

    >>> percent(0.031), percent(0.0004), percent(0.9999)
    ('3 %', 'below 1 %', 'above 99 %')
    """
    if probability < 0.01:
        return "below 1 %"
    return "above 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def sentence(row: Row) -> str:
    """Return the verdict in one sentence."""
    if row.error is not None:
        return f"not judged: {row.error.message}"
    verdict = VERDICTS[row.verdict or "inconclusive"]
    if row.probability is None:
        reason = row.notes[0].message if row.notes else "too few detectors gave an answer"
        return f"{verdict}: {reason}"
    return f"{verdict}; probability of being AI-generated: {percent(row.probability)}"


def reasons(row: Row, titles: Mapping[str, str]) -> Iterator[str]:
    """Yield lines on why: the strength of the pixels, each detector's share, evidence, caveats."""
    if row.llr is not None and row.error is None:
        yield f"the pixels give {strength(row.llr)}"
    for member in sorted(row.stages, key=lambda one: -abs(one.contribution or 0.0)):
        if member.contribution is None:
            continue
        side = "AI-generated" if member.contribution > 0 else "camera image"
        view = "" if member.view == "plain" else f", on the view {member.view}"
        yield f"{titles.get(member.detector, member.detector)}{view}: {member.contribution:+.1f} nats, towards {side}"
    for member in row.stages:
        gone = member.abstained or (member.error and member.error.message)
        if gone:
            yield f"{titles.get(member.detector, member.detector)} gave no score: {gone}"
    for found in row.evidence:
        yield f"the file states ({found.source}): {found.statement} [{found.trust}]"
    if row.probability_with_provenance is not None:
        yield f"with what the file states: {percent(row.probability_with_provenance)}"
    for disagreement in row.disagreements:
        yield f"disagreement: {disagreement}"
    for note in row.notes if row.probability is not None else row.notes[1:]:
        yield f"note: {note.message}"
    for missing in row.missing:
        yield f"missing: {missing.detector}: {missing.reason}"


def legend(chain: Chain) -> Iterator[str]:
    """Yield the lines that hold for every image of a run: thresholds, error rates, prior, limits."""
    rule = chain.file.verdict
    yield (
        f"above {percent(rule.generated_above)}: AI-generated; below {percent(rule.real_below)}: no sign of "
        "generation; between: inconclusive"
    )
    yield (
        f"set so that {percent(rule.false_positive_rate)} of photographs are called AI-generated and "
        f"{percent(rule.miss_rate)} of generated images go unnoticed, among images like those of the fit"
    )
    yield f"chain {chain.name}, digest {chain.digest[:12]}, prior {percent(chain.prior)}; this concerns the pixels"
    yield "no sign of generation is no proof of a camera, and a statement in a file is a claim"


def stage_titles(chain: Chain) -> dict[str, str]:
    """Return, by detector id, what its stage says it looks at."""
    return {one.id: getattr(type(one.stage), "title", "") or one.id for one in chain.plan.detectors}
