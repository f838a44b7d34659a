"""Calibrators: score to probability."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from d2f.api.inputs import Floats, Labels
from d2f.testing.subject import Failed, Subject, check, fail_if, scores_of_two_classes

CLOSE = 0.03
"""Nats by which a fit may miss the best cross-entropy there is, on 4,000 scores."""

CHANCE = 0.02
"""Nats by which a fit may be worse than saying 1/2 of every image."""


@check("it fits whatever scores come", gate=True)
def fits(subject: Subject) -> str:
    """Both directions, few images, all scores equal, far from 0: an options model comes back, and works."""
    found = []
    for name, (scores, labels, weights) in _sets().items():
        try:
            options = subject.stage.fit(scores, labels, weights)
            probabilities = np.asarray(subject.stage(options).probability(scores))
        except Exception as error:
            found.append(f"on {name}: it raised {subject.said(error)}")
            continue
        if not isinstance(options, subject.stage.Options):
            found.append(f"on {name}: fit returned a {type(options).__name__}, not its Options")
        elif wrong := _no_probabilities(probabilities, scores):
            found.append(f"on {name}: {wrong}")
    fail_if(found, "fit is a class method that returns Options; guard the scale where all scores are equal")
    return f"{len(_sets())} sets of scores"


@check("probabilities rise or fall with the score")
def monotone(subject: Subject) -> str:
    """Over the fitted range and far beyond, they stay in [0, 1] and turn nowhere."""
    grid = np.concatenate([[-1e9, -1e3], np.linspace(-6.0, 6.0, 501), [1e3, 1e9]])
    for direction in (1.0, -1.0):
        fitted = subject.stage(subject.stage.fit(*scores_of_two_classes(direction=direction)))
        probabilities = np.asarray(fitted.probability(grid))
        if wrong := _no_probabilities(probabilities, grid):
            raise Failed(f"on scores from -1e9 to 1e9: {wrong}", "clip what overflows")
        steps = np.diff(probabilities)
        if (steps > 1e-9).any() and (steps < -1e-9).any():
            at = float(grid[np.argmax(steps < -1e-9)])
            raise Failed(
                f"they rise and fall, near the score {at:.3g}",
                "a calibrator gives scores a scale and a direction; what else a score tells is its detector's business",
            )
    return ""


@check("a fit finds what is there")
def recovers(subject: Subject) -> str:
    """On 4,000 scores whose log-likelihood ratio is known, it comes close; on reversed ones it does no harm."""
    scores, labels, weights = scores_of_two_classes(4000, seed=5)
    # Twice the score is the log-likelihood ratio.
    scores = 2.0 * scores
    best = _nats(1.0 / (1.0 + np.exp(-scores)), labels, weights)
    excess = _cross_entropy(subject, scores, labels, weights) - best
    if excess > CLOSE:
        raise Failed(
            f"its cross-entropy is {excess:.3f} nats above the best on scores that are log-likelihood ratios",
            "minimise the weighted cross-entropy; use `weights`, which make both labels weigh alike",
        )
    turned = _cross_entropy(subject, -scores, labels, weights) - 0.6931
    if turned > CHANCE:
        raise Failed(
            f"with the scores' direction turned it is {turned:.3f} nats worse than saying 1/2 always",
            "let the direction be fitted, or fall back to 1/2",
        )
    return f"{excess:.3f} nats above the best"


@check("the same scores give the same fit")
def deterministic(subject: Subject) -> str:
    """Fitted twice, asked twice, one at a time or together."""
    given: tuple[Any, ...] = scores_of_two_classes()
    kept = [np.array(array) for array in given]
    first, second = subject.stage.fit(*given), subject.stage.fit(*given)
    if first.model_dump() != second.model_dump():
        raise Failed("a second fit differs", "draw nothing at random, or from a generator with a fixed seed")
    if not all(np.array_equal(one, other) for one, other in zip(given, kept, strict=True)):
        raise Failed("it changed the arrays that it was given", "work on a copy")
    stage = subject.stage(first)
    together = np.asarray(stage.probability(given[0]))
    alone = np.array([stage.probability(given[0][i : i + 1])[0] for i in range(len(together))])
    if not np.allclose(together, alone, rtol=0, atol=1e-12):
        raise Failed("a score's probability depends on the scores beside it", "map each score by itself")
    return ""


@check("a fit survives a chain file")
def plain_fit(subject: Subject) -> str:
    """Options written as plain data and read again give the same probabilities."""
    scores, labels, weights = scores_of_two_classes()
    options = subject.stage.fit(scores, labels, weights)
    again = subject.stage.Options.model_validate(json.loads(json.dumps(options.model_dump(mode="json"))))
    one, other = (np.asarray(subject.stage(held).probability(scores)) for held in (options, again))
    if not np.array_equal(one, other):
        raise Failed("read back, the probabilities differ", "keep in the options all that `probability` uses")
    return ""


def _sets() -> dict[str, tuple[Floats, Labels, Floats]]:
    scores, labels, weights = scores_of_two_classes()
    few = scores_of_two_classes(8)
    return {
        "rising scores": (scores, labels, weights),
        "falling scores": (-scores, labels, weights),
        "eight images": few,
        "equal scores": (np.full(len(scores), 3.0), labels, weights),
        "scores that part the classes": (labels.astype(np.float64) + 0.001 * scores, labels, weights),
        "scores far from 0": (1e6 + scores, labels, weights),
        "tiny scores": (1e-9 * scores, labels, weights),
    }


def _cross_entropy(subject: Subject, scores: Floats, labels: Labels, weights: Floats) -> float:
    fitted: Any = subject.stage(subject.stage.fit(scores, labels, weights))
    return _nats(fitted.probability(scores), labels, weights)


def _nats(probabilities: Floats, labels: Labels, weights: Floats) -> float:
    held = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return float(-np.average(np.log(np.where(labels == 1, held, 1 - held)), weights=weights))


def _no_probabilities(found: Floats, scores: Floats) -> str:
    if found.shape != scores.shape:
        return f"shape {found.shape} for scores of shape {scores.shape}"
    if not np.isfinite(found).all():
        return "a probability is not finite"
    if found.min() < 0 or found.max() > 1:
        return f"a probability of {found.min() if found.min() < 0 else found.max():.3g}"
    return ""
