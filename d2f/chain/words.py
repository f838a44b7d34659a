"""A row in words for a person who knows neither chains nor likelihood ratios.

Strength is given by the verbal scale of the ENFSI guideline for evaluative reporting in forensic science (2015, table
1), and only for likelihood ratios, never for a bare score.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from d2f.api.rows import VERDICT_WORDS, Row, verdicts_in_words

if TYPE_CHECKING:
    from d2f.api.inputs import Note
    from d2f.chain.chain import Chain

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

CAVEATS = frozenset(
    ("colours-converted", "damaged-file", "duplicate", "one-of-several", "partly-seen", "transparent", "unstable")
)
"""Codes of notes that never cost an image its probability."""


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
    verdict = VERDICT_WORDS[row.verdict or "inconclusive"]
    if row.probability is None:
        note = reason_note(row)
        return f"{verdict}: {'too few detectors gave an answer' if note is None else note.message}"
    return f"{verdict}; probability of being AI-generated: {percent(row.probability)}"


def reason_note(row: Row) -> Note | None:
    """Return the note that says why a row has no probability: the first that is no mere caveat, if there is one."""
    return next((note for note in row.notes if note.code not in CAVEATS), row.notes[0] if row.notes else None)


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
        yield f"disagreement: {verdicts_in_words(disagreement)}"
    said = reason_note(row) if row.probability is None else None
    for note in row.notes:
        if note is not said:
            yield f"note: {note.message}"
    for missing in row.missing:
        yield f"missing: {missing.detector}: {missing.reason}"


def legend(chain: Chain) -> Iterator[str]:
    """Yield the lines that hold for every image of a run: thresholds, error rates, prior, limits."""
    rule = chain.file.verdict
    if chain.plan.decision is None or chain.plan.decision.unfitted:
        yield "the chain is not fitted: it gives scores, and every verdict is inconclusive"
        yield f"chain {chain.name}, digest {chain.digest[:12]}; to fit it: d2f chain fit"
        return
    yield (
        f"above {percent(rule.generated_above)}: AI-generated; below {percent(rule.real_below)}: no sign of "
        "generation; between: inconclusive"
    )
    yield (
        f"set so that {percent(rule.false_positive_rate)} of photographs are called AI-generated and "
        f"{percent(rule.miss_rate)} of generated images go unnoticed, among images like those of the fit"
    )
    if chain.prior != rule.prior:
        fewer, more = ("fewer", "more") if chain.prior < rule.prior else ("more", "fewer")
        yield (
            f"these rates were set at prior {percent(rule.prior)}: at {percent(chain.prior)} {fewer} photographs are "
            f"called AI-generated, and {more} generated images go unnoticed"
        )
    if (fitted := chain.file.fitted) is not None and (shift := fitted.shift) is not None:
        yield f"since then the ratio was shifted by {shift.nats:+.2f} nats (d2f calibrate), and these rates with it"
    yield f"chain {chain.name}, digest {chain.digest[:12]}, prior {percent(chain.prior)}; this concerns the pixels"
    yield "no sign of generation is no proof of a camera, and a statement in a file is a claim"


def stage_titles(chain: Chain) -> dict[str, str]:
    """Return, by detector id, the human title of its stage; the id where it has none."""
    return {one.id: getattr(type(one.stage), "title", "") or one.id for one in chain.plan.detectors}


def looks_at(chain: Chain) -> dict[str, str]:
    """Return, by detector id, what its stage looks at, in one sentence."""
    return {
        one.id: getattr(type(one.stage), "looks_at", "") or getattr(one.stage, "summary", "")
        for one in chain.plan.detectors
    }


def view_words(chain: Chain, view: str) -> str:
    """Return what a view is: the steps that make it, with what each was set to."""
    steps = chain.plan.views.get(view, ())
    return ", then ".join(map(step_words, (step.key for step in steps))) if steps else "the picture as it is"


def step_words(key: str) -> str:
    """Return a step's key for a person.

    >>> step_words('{"use":"resize","with":{"back":false,"factor":0.5,"longest":null}}')
    'resize (factor 0.5)'
    """
    try:
        held = json.loads(key)
        options = [f"{name} {value}" for name, value in held["with"].items() if value not in (None, False)]
        return f"{held['use']} ({', '.join(options)})" if options else str(held["use"])
    except (ValueError, KeyError, TypeError, AttributeError):  # a key of another form
        return key


def answer(probability: float, chain: Chain) -> str:
    """Return a member's probability in the words of a verdict, by the chain's thresholds."""
    rule = chain.file.verdict
    if probability > rule.generated_above:
        return VERDICT_WORDS["generated"]
    return VERDICT_WORDS["real" if probability < rule.real_below else "inconclusive"]


def factor(nats: float) -> str:
    """Return by how much a contribution multiplies the odds, and towards what.

    >>> factor(2.3), factor(-2.3), factor(0.01)
    ('10 times towards AI-generated', '10 times towards a camera image', 'next to nothing')
    """
    ratio = math.exp(min(abs(nats), 20.0))
    if ratio < 1.05:
        return "next to nothing"
    times = f"{ratio:.1f}" if ratio < 9.95 else f"{ratio:,.0f}"
    return f"{times.removesuffix('.0')} times towards {'AI-generated' if nats > 0 else 'a camera image'}"


def disagreement_words(row: Row, chain: Chain) -> Iterator[str]:
    """Yield where detectors contradict themselves between views, or each other, by the chain's thresholds."""
    titles = stage_titles(chain)
    said: dict[str, dict[str, str]] = {}
    for member in row.stages:
        if member.probability is not None and (words := answer(member.probability, chain)) != "inconclusive":
            said.setdefault(member.detector, {})[member.view] = words
    for detector, views in said.items():
        if len(set(views.values())) > 1:
            told = "; ".join(
                f"{words} on {'the picture' if view == 'plain' else view}" for view, words in views.items()
            )
            yield f"{titles[detector]} changes its answer with the view: {told}"
    sides = {words: [titles[one] for one, views in said.items() if set(views.values()) == {words}] for words in SIDES}
    if all(sides.values()):
        told = "; ".join(f"{', '.join(names)}: {words}" for words, names in sides.items())
        yield f"the detectors contradict each other: {told}"


SIDES = (VERDICT_WORDS["generated"], VERDICT_WORDS["real"])

NEXT_STEPS = {
    "generated": (
        "Ask for the original file, and judge that: a copy that was resized or sent by a messenger says less.",
        "Look for an earlier copy and for the place where it was first published.",
        "Do not accuse a person by this result alone; the share of photographs that come out like this stands above.",
    ),
    "real": (
        "Do not take this as cleared: a picture can be treated until a chain finds nothing, and parts can be edited.",
        "Check what the picture is said to show: place, time and context can be false of a genuine photograph.",
    ),
    "inconclusive": (
        "Take this as no answer, for neither side.",
        "Judge the original file, or a larger copy that was saved less often.",
        "Ask a person who knows the place or the event, and look for an earlier copy.",
    ),
}
"""What a reader can do, by verdict."""

LIMITS = (
    "A probability holds for pictures like those that the chain was fitted on.",
    "Pictures with generated parts (generative fill, composites, upscaling) are neither of the two labels.",
    "Thumbnails, screenshots, scans and drawings are outside what was tested.",
    "Error rates and thresholds concern the pixels; what a file states is a claim of whoever wrote it.",
    "No sign of generation is no proof of a camera; no label in a file is not \u201creal\u201d.",
)

MAP_TITLES = {
    "tiles": "How each part looks by itself",
    "occlusion": "What each part adds to the result",
}
MAP_MEANINGS = {
    "tiles": "The chain was run on each of these tiles as if it were a picture of its own.",
    "occlusion": "Each tile was hidden by a strong blur; the map shows how much less AI-generated the picture then "
    "looked to the chain, compared with the median tile.",
}
LOOK_FOR = {
    "tiles": "One connected area that differs clearly from the rest, and that is an object or an edited part.",
    "occlusion": "Areas on which the result rests. One that rests on a caption, a border or a sky rests on little.",
}
IGNORE = {
    "tiles": "The absolute level (tiles are not what the chain was fitted on), hatched cells, and single cells: "
    "there is always a highest one, in a photograph too.",
    "occlusion": "Hatched cells, single cells, and weak colours: the scale is that of this map alone.",
}
MASK_WORDS = {
    "flat": "flat: too little detail",
    "clipped": "clipped: over- or underexposed",
    "over-compressed": "over-compressed: blocks",
}

PRIVATE = "Location, serial numbers, local paths and the raw fields of the file are left out of this report (--full)."
NOT_PRIVATE = "This report was made with --full: it may hold location, serial numbers, local paths and raw fields."

NATS = "A nat multiplies the odds by 2.7; words of strength are those of the ENFSI guideline of 2015."


def evidence_of(chain: Chain) -> str:
    """Return in one sentence what the thresholds rest on."""
    fitted = chain.file.fitted
    if fitted is None:
        return "The chain is not fitted."
    parts = [f"{fitted.images:,} images"]
    if fitted.real and fitted.generated:
        parts.append(f"{fitted.real:,} of them photographs")
    if fitted.collections:
        parts.append(f"of {fitted.collections:,} collections")
    return f"Fitted on {', '.join(parts)}, on {fitted.date}."
