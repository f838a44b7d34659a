"""`d2f calibrate`: a fitted chain moved onto a few dozen images of one's own by one number, a shift of its ratio.

With labels the shift is the most probable one, and what it gains is measured on images that were left out of it.
Without labels it makes the mean probability equal a share of generated images that the user states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Labels
from d2f.chain.write import fitted_text
from d2f.data.dataset import Labelled
from d2f.data.groups import components, digest_of
from d2f.data.weights import label_weights, require_both
from d2f.engine.findings import logit
from d2f.engine.judge import Judge
from d2f.evaluate.fit import CALIBRATOR, LEAST, FitRequest, data_block, scored_unseen
from d2f.evaluate.score import ScoreTable
from d2f.metrics import Interval, cluster_bootstraps
from d2f.metrics.calibration import sigmoid
from d2f.metrics.figures import Verdicts, figures, verdicts_of

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.data.dataset import Dataset

FEWEST = 2 * LEAST
"""Fewer judged images than this are refused."""

DEVIATION = 1.0
"""Of the shift before any image is seen, in nats (normal, mean 0): 20 images move it less far than 200."""

DRAWS = 500
FURTHEST = 6.0
"""A shift beyond this many nats says that images and chain, or images and stated share, do not belong together."""

SHOWN = ("cllr", "balanced_accuracy", "true_positive", "false_positive", "miss", "inconclusive")
NEARBY = 0.1
"""Without labels the shift is given too for shares that lie this much to either side."""


@dataclass(frozen=True)
class Calibrated:
    """A chain with a shift, and what the images say about it."""

    text: str
    table: ScoreTable
    shift: Interval
    judged: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    gain: Interval | None = None  # bits an image, on images left out; None without labels
    alone: bool = False  # whether single images were left out, as all are of one component
    share: float | None = None
    nearby: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()


def calibrate(chain: Chain, images: Dataset, request: FitRequest, share: float | None = None) -> Calibrated:
    """Shift a fitted chain's log-likelihood ratio to suit images of one's own.

    `share` in (0, 1) is how many of the images are generated, where their labels are not known.
    """
    require_bias(chain)
    table, notes = scored_unseen(chain, images, request)
    llr = Judge(chain.plan).probabilities(table.flat()).llr
    judged = np.isfinite(llr)
    if share is None:
        found = _labelled(chain, table, llr, judged, request.seed)
    else:
        found = _unlabelled(chain, table, llr, judged, request.seed, share)
    shift = found["shift"]
    if abs(shift.value) > FURTHEST:
        why = f"the images ask for a shift of {shift.value:.1f} nats, more than {FURTHEST:g}"
        note = "they are not what the chain judges, or their labels or the stated share are wrong"
        raise D2FError.of("D2F603", why, note)
    return Calibrated(
        _shifted_text(chain, table, shift.value, request, share), table, notes=notes, share=share, **found
    )


def require_bias(chain: Chain) -> None:
    """Refuse a chain that has no place for a shift."""
    if not chain.file.calibrate:
        raise D2FError.of("D2F127", f"chain '{chain.name}' is not fitted", "fit it first: d2f chain fit")
    above = chain.file.combine.calibrate
    if above is not None and above.use != CALIBRATOR:
        why = f"chain '{chain.name}' calibrates its ratio by '{above.use}', which has no bias to shift"
        raise D2FError.of("D2F127", why, f"fit it with `combine.calibrate: {{use: {CALIBRATOR}}}`: d2f chain fit")


def best_shift(llr: Floats, labels: Labels) -> float:
    """Return the most probable shift, in nats, of ratios (n,) of both labels, which weigh alike.

    Minimises n times the mean cross-entropy at even prior plus ``shift**2 / (2 DEVIATION**2)``, by Newton's method on a
    convex function.
    """
    weights, shift = label_weights(labels), 0.0
    for _ in range(100):
        probability = sigmoid(llr + shift)
        slope = float((weights * (probability - labels)).sum()) + shift / DEVIATION**2
        step = slope / (float((weights * probability * (1 - probability)).sum()) + DEVIATION**-2)
        shift -= max(-1.0, min(1.0, step))
        if abs(step) < 1e-9:
            break
    return shift


def shift_to_share(llr: Floats, share: float) -> float:
    """Return the shift, in nats, under which the mean probability at prior `share` is `share`, within 1e-9."""
    prior = _prior_log_odds(share)
    low, high = -2 * FURTHEST - float(np.abs(llr).max()), 2 * FURTHEST + float(np.abs(llr).max())
    while high - low > 1e-9:
        middle = (low + high) / 2
        if sigmoid(llr + prior + middle).mean() < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _labelled(chain: Chain, table: ScoreTable, llr: Floats, judged: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    labels, kept = table.labels[judged], llr[judged]
    require_both(table.images.select(judged).label_counts, LEAST, "a calibration")
    units, alone = _units(table, judged)
    left_out = np.empty(len(kept))
    for unit in np.unique(units):
        held = units == unit
        left_out[held] = kept[held] + best_shift(kept[~held], labels[~held])

    def drawn(index: NDArray[np.int64]) -> Sequence[float]:
        part = labels[index]
        bits = [_shown_figures(chain, part, values[index])["cllr"] for values in (kept, left_out)]
        return best_shift(kept[index], part), bits[0] - bits[1]

    shift, gain = cluster_bootstraps(drawn, units, labels, DRAWS, seed=seed)
    before, after = (_shown_figures(chain, labels, values) for values in (kept, left_out))
    return {"shift": shift, "gain": gain, "before": before, "after": after, "judged": len(kept), "alone": alone}


def _units(table: ScoreTable, judged: NDArray[np.bool_]) -> tuple[NDArray[np.int64], bool]:
    """Return what is left out together, (n,), and whether that is single images: components where the rest has both."""
    labels, whole = table.labels[judged], table.components[judged]
    if _leave_both_labels(whole, labels):
        return whole, False
    kept = table.images.select(judged)
    groups = [Labelled(image.path, image.label, group=image.group) for image in kept]
    digests = [digest for digest, there in zip(table.sha256, judged, strict=True) if there]
    alone = components(groups, digests)
    if not _leave_both_labels(alone, labels):
        why = "all images of a label are of one group, or copies of each other: none of them can be left out"
        raise D2FError.of("D2F603", why, "give images of two groups or more of each label")
    return alone, True


def _leave_both_labels(units: NDArray[np.int64], labels: Labels) -> bool:
    """Whether images of both labels are left whichever unit is left out."""
    return all(len(set(labels[units != unit].tolist())) == 2 for unit in np.unique(units))


def _unlabelled(
    chain: Chain, table: ScoreTable, llr: Floats, judged: NDArray[np.bool_], seed: int, share: float
) -> dict[str, Any]:
    kept = llr[judged]
    if len(kept) < FEWEST:
        raise D2FError.of("D2F603", f"the chain judges {len(kept)} of the images; a shift needs at least {FEWEST}")

    def drawn(index: NDArray[np.int64]) -> Sequence[float]:
        return [shift_to_share(kept[index], share)]

    everywhere = np.zeros(len(kept), dtype=np.int8)
    (shift,) = cluster_bootstraps(drawn, table.components[judged], everywhere, DRAWS, seed=seed)
    nearby = tuple((near, shift_to_share(kept, near)) for near in (share - NEARBY, share + NEARBY) if 0 < near < 1)
    words = (("generated", 1), ("inconclusive", 0), ("real", -1))
    before, after = (
        {word: float((verdicts == verdict).mean()) for word, verdict in words}
        for verdicts in (_verdicts(chain, kept), _verdicts(chain, kept + shift.value))
    )
    return {"shift": shift, "before": before, "after": after, "judged": len(kept), "nearby": nearby}


def _verdicts(chain: Chain, llr: Floats) -> Verdicts:
    """Return the verdicts at the chain's prior and thresholds."""
    rule = chain.file.verdict
    return verdicts_of(sigmoid(llr + _prior_log_odds(rule.prior)), rule.real_below, rule.generated_above)


def _prior_log_odds(share: float) -> float:
    return float(logit(np.array(share)))


def _shown_figures(chain: Chain, labels: Labels, llr: Floats) -> dict[str, float]:
    """Return the figures of `SHOWN` at the chain's thresholds."""
    found = figures(labels, llr, _verdicts(chain, llr), np.ones((1, len(llr))))
    return {name: float(found[name][0]) for name in SHOWN}


def _shifted_text(chain: Chain, table: ScoreTable, shift: float, request: FitRequest, share: float | None) -> str:
    file = chain.file
    combine = file.combine.model_dump(mode="json", by_alias=True, exclude_none=True)
    held: Mapping[str, Any] = combine["calibrate"]["with"] if "calibrate" in combine else {}
    moved = {"slope": held.get("slope", 1.0), "bias": round(held.get("bias", 0.0) + shift, 6)}
    combine["calibrate"] = {"use": CALIBRATOR, "with": moved}
    for key, absent in (("need", 1), ("with", {})):
        if combine.get(key) == absent:
            del combine[key]
    block = data_block(table)
    if share is not None:
        digest = digest_of((sha256, -1) for sha256 in table.sha256)
        block |= {"data": digest, "real": 0, "generated": 0, "share": share}
    own = {**block, "nats": round(shift, 4), "protocol": request.protocol, "date": request.today.isoformat()}
    before = file.fitted.model_dump(mode="json", exclude_none=True) if file.fitted else {}
    updates = {"name": request.name, "combine": combine, "fitted": {**before, "shift": own}}
    return fitted_text(chain.text, updates)


def calibrated_lines(found: Calibrated) -> Iterator[str]:
    """Yield what a calibration found, for a person."""
    table, (real, generated) = found.table, found.table.images.label_counts
    kinds = f": {real} real, {generated} generated" if found.share is None else " without labels"
    yield f"{len(table.labels)} images{kinds}, {len(set(table.components.tolist()))} components"
    if found.judged < len(table.labels):
        yield f"{len(table.labels) - found.judged} of them have no probability and count for nothing here"
    low, high = found.shift.low, found.shift.high
    yield f"shift of the log-likelihood ratio: {found.shift.value:+.2f} nats [{low:+.2f}, {high:+.2f}]"
    yield from _unlabelled_lines(found) if found.gain is None else _labelled_lines(found, found.gain)
    for note in found.notes:
        yield f"warning: {note}"


TITLES: Mapping[str, Callable[[float], str]] = {
    "cllr": lambda value: f"{value:.3f} bits lost an image (Cllr)",
    "balanced_accuracy": lambda value: f"{value:.3f} balanced accuracy at even odds",
    "true_positive": lambda value: f"{value:.1%} of generated called generated",
    "false_positive": lambda value: f"{value:.1%} of photographs called generated",
    "miss": lambda value: f"{value:.1%} of generated called real",
    "inconclusive": lambda value: f"{value:.1%} inconclusive",
}


def _labelled_lines(found: Calibrated, gain: Interval) -> Iterator[str]:
    left = "image" if found.alone else "component"
    yield f"each judged by a shift found without its own {left}:"
    for name, title in TITLES.items():
        before, _, words = title(found.before[name]).partition(" ")
        yield f"  {before:>7} -> {title(found.after[name]).partition(' ')[0]:>6}  {words}"
    if found.alone:
        yield "one label comes from one collection alone: nothing is said of other collections"
    bounds = f"{gain.value:+.3f} bits an image [{gain.low:+.3f}, {gain.high:+.3f}]"
    if gain.low > 0:
        yield f"gained: {bounds}"
    elif gain.high < 0:
        yield f"lost: {bounds}; keep the chain as it is"
    else:
        yield f"no gain shows: {bounds}; the chain as it is serves as well"


def _unlabelled_lines(found: Calibrated) -> Iterator[str]:
    assert found.share is not None
    yield f"so that the mean probability is the stated share of generated images, {found.share:g}"
    yield from (f"  were the share {near:.2g}: {shift:+.2f} nats" for near, shift in found.nearby)
    for word, before in found.before.items():
        yield f"  {before:>7.1%} -> {found.after[word]:>6.1%}  called {word}"
    if found.shift.low <= 0 <= found.shift.high:
        yield "no shift shows: its interval holds 0, the chain as it is serves as well"
    yield "without labels nothing says what this gained: some labelled images would"
