"""A subject measured under every attack, on the same draws as every other subject."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset, Labelled
from d2f.data.groups import components
from d2f.engine.findings import expit
from d2f.evaluate.bench_systems import GENERATED, INCONCLUSIVE, REAL, Laying, Subject
from d2f.metrics import Interval
from d2f.metrics import weighted as drawn
from d2f.metrics.intervals import cluster_counts

DRAWS = 1000
LEVEL = 0.95


class Draws:
    """A sample and draws of whole components from it, as weights."""

    def __init__(
        self,
        components: NDArray[np.int64],
        labels: Labels,
        draws: int = DRAWS,
        seed: int = 0,
        weights: Floats | None = None,
    ) -> None:
        counts = cluster_counts(components, labels, draws, seed)
        each = np.ones(len(labels)) if weights is None else weights
        self.weights: Floats = np.concatenate([np.ones((1, len(labels))), counts]) * each
        self.varied = bool((counts != 1).any())
        self.labels = labels

    def interval(self, figure: Floats) -> Interval:
        """Return a figure's value on the sample and its percentile interval over the draws.

        `figure` shape (1 + draws,), float64.
        """
        said = figure[1:][~np.isnan(figure[1:])]
        if not self.varied or not len(said) or np.isnan(figure[0]):
            return Interval(float(figure[0]), float("nan"), float("nan"))
        low, high = np.quantile(said, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return Interval(float(figure[0]), float(low), float(high))


def p_value(difference: Floats) -> float:
    """Return the two-sided bootstrap p-value that a difference is zero: twice the rarer side's share of draws.

    `difference` shape (1 + draws,), float64.

    References
    ----------
    Davison and Hinkley, Bootstrap Methods and their Application, 1997, ISBN 0-521-57471-4, section 4.2 (the added one).
    """
    said = difference[1:][~np.isnan(difference[1:])]
    if not len(said):
        return float("nan")
    below, above = (said <= 0).sum(), (said >= 0).sum()
    return float(min(1.0, 2 * (1 + min(below, above)) / (1 + len(said))))


def holm(p_values: list[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method; NaN stays and is not counted.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    References
    ----------
    Holm, Scandinavian Journal of Statistics 6 (1979), 65-70.
    """
    order = sorted((p, place) for place, p in enumerate(p_values) if p == p)
    corrected, highest = list(p_values), 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        corrected[place] = highest
    return corrected


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in words."""

    title: str
    heading: str
    better: int


FIGURES: Mapping[str, Figure] = {
    "auc": Figure("area under the ROC curve", "AUC", 1),
    "average_precision": Figure("average precision", "AP", 1),
    "balanced_accuracy": Figure("balanced accuracy at even odds", "bal. acc.", 1),
    "balanced_accuracy_verdicts": Figure("balanced accuracy of verdicts, inconclusive counted as wrong", "verdicts", 1),
    "tpr_at_1": Figure("generated found at 1 % false alarms", "TPR@1%", 1),
    "tpr_at_5": Figure("generated found at 5 % false alarms", "TPR@5%", 1),
    "true_positive": Figure("generated called generated (TPR)", "TPR", 1),
    "false_positive": Figure("photographs called generated (FPR)", "FPR", -1),
    "true_negative": Figure("photographs called real", "TNR", 1),
    "miss": Figure("generated called real", "missed", -1),
    "inconclusive": Figure("share inconclusive", "inconcl.", -1),
    "precision_generated": Figure("precision of the verdict generated, classes 50/50", "prec. gen.", 1),
    "precision_real": Figure("precision of the verdict real, classes 50/50", "prec. real", 1),
    "ece": Figure("expected calibration error, classes 50/50", "ECE", -1),
    "brier": Figure("Brier score, classes 50/50", "Brier", -1),
    "cllr": Figure("log-likelihood-ratio cost, bits", "Cllr", -1),
    "evasion": Figure("of all generated, called so clean and no longer", "evasion", -1),
    "new_false_alarms": Figure("of all photographs, newly called generated", "new alarms", -1),
}
"""Every figure, in the order of tables."""


def figures(subject: Subject, labels: Labels, weights: Floats, copy: int = 0) -> dict[str, Floats]:
    """Return every figure of `FIGURES` on each row of weights.

    `labels` shape (n,); `weights` shape (draws, n), float64; returns dict of str to shape (draws,), float64.
    """
    values = subject.values[:, copy]
    given = weights
    if not subject.calibrated:
        given = weights * np.isfinite(values)
    values = np.nan_to_num(values, nan=0.0)
    found = {**_ranking(labels, values, given), **_calibration(subject, labels, values, given)}
    found |= verdict_figures(subject, labels, given, copy)
    nothing = np.full(len(weights), np.nan)
    return {name: found.get(name, nothing) for name in FIGURES}


def _ranking(labels: Labels, values: Floats, weights: Floats) -> dict[str, Floats]:
    ranked = drawn.Ranked(labels, values, weights)
    return {
        "auc": ranked.auc(),
        "average_precision": ranked.average_precision(),
        "tpr_at_1": ranked.true_positive_rate_at(0.01),
        "tpr_at_5": ranked.true_positive_rate_at(0.05),
    }


def _calibration(subject: Subject, labels: Labels, values: Floats, weights: Floats) -> dict[str, Floats]:
    if not subject.calibrated:
        return {}
    probability = expit(values)
    return {
        "balanced_accuracy": drawn.balanced_accuracy(labels, values, weights),
        "ece": drawn.expected_calibration_error(labels, probability, weights),
        "brier": drawn.brier(labels, probability, weights),
        "cllr": drawn.log_likelihood_ratio_cost(labels, values, weights),
    }


def verdict_figures(subject: Subject, labels: Labels, weights: Floats, copy: int) -> dict[str, Floats]:
    """Return the figures that only the verdicts decide; none of a subject that gives none."""
    if subject.verdicts is None:
        return {}
    real, generated = labels == 0, labels == 1
    said, clean = subject.verdicts[:, copy], subject.verdicts[:, 0]
    called, cleared = said == GENERATED, said == REAL
    found, alarms = drawn.share(called, generated, weights), drawn.share(called, real, weights)
    freed, missed = drawn.share(cleared, real, weights), drawn.share(cleared, generated, weights)
    rates = {
        "true_positive": found,
        "false_positive": alarms,
        "true_negative": freed,
        "miss": missed,
        "inconclusive": drawn.share(said == INCONCLUSIVE, np.ones(len(labels), dtype=bool), weights),
        "balanced_accuracy_verdicts": (found + freed) / 2,
        "precision_generated": _precision(found, alarms),
        "precision_real": _precision(freed, missed),
    }
    if copy:
        rates["evasion"] = drawn.share((clean == GENERATED) & ~called, generated, weights)
        rates["new_false_alarms"] = drawn.share((clean != GENERATED) & called, real, weights)
    return rates


def _precision(right: Floats, wrong: Floats) -> Floats:
    called = right + wrong
    precision: Floats = np.divide(right, called, out=np.full(len(right), np.nan), where=called > 0)
    return precision


FEWEST = 10
"""A part with fewer images is not reported on its own."""

GROUP_DRAWS = 300


@dataclass(frozen=True)
class Group:
    """Part of a set, and the images of the other class that it is judged against."""

    kind: Literal["collection", "source", "generator"]
    name: str
    members: NDArray[np.int64]  # (m,), int64
    against: NDArray[np.int64]  # (k,), int64
    real: int
    generated: int

    @property
    def index(self) -> NDArray[np.int64]:
        """Its own images and those that it is judged against."""
        return np.concatenate([self.members, self.against])

    def draws(self, images: Dataset, draws: int = GROUP_DRAWS) -> Draws:
        """Return draws of near-duplicate groups within it.

        They say how far its own images go, not how a chain fares on another collection.
        """
        units = components(_by_group(images[int(place)]) for place in self.index)
        return Draws(units, images.labels[self.index], draws)


def groups(images: Dataset) -> list[Group]:
    """Return the parts of at least `FEWEST` images: two-class collections, then sources, then generators."""
    return [*_collections(images), *_sources(images), *_generators(images)]


def _collections(images: Dataset) -> Iterator[Group]:
    names = np.array([image.collection for image in images])
    for name in images.collections:
        members = np.flatnonzero(names == name)
        held = images.labels[members]
        if len(members) >= FEWEST and len(set(held.tolist())) == 2:
            yield _group("collection", name, members, members[:0], images)


def _sources(images: Dataset) -> Iterator[Group]:
    two_class = {group.name for group in _collections(images)}
    for name in sorted({image.source for image in images} - {""}):
        held = [i for i, image in enumerate(images) if image.source == name and image.collection not in two_class]
        members = np.array(held, dtype=np.int64)
        for label in sorted(set(images.labels[members].tolist())):
            own = members[images.labels[members] == label]
            if len(own) >= FEWEST:
                yield _group("source", name, own, np.flatnonzero(images.labels != label), images)


def _generators(images: Dataset) -> Iterator[Group]:
    photographs = np.flatnonzero(images.labels == 0)
    for name in sorted({image.generator for image in images if image.label == 1} - {""}):
        held = [i for i, image in enumerate(images) if image.generator == name and image.label == 1]
        if len(held) >= FEWEST:
            yield _group("generator", name, np.array(held, dtype=np.int64), photographs, images)


def _group(
    kind: Literal["collection", "source", "generator"],
    name: str,
    members: NDArray[np.int64],
    against: NDArray[np.int64],
    images: Dataset,
) -> Group:
    generated = int((images.labels[members] == 1).sum())
    return Group(kind, name, members, against, len(members) - generated, generated)


def _by_group(image: Labelled) -> Labelled:
    return Labelled(image.path, image.label, group=image.group)


WORST = ("auc", "evasion", "new_false_alarms")
"""Figures for which the worst attack is named."""


@dataclass(frozen=True)
class Measured:
    """Every figure of a subject on every copy."""

    subject: Subject
    copies: tuple[str, ...]
    drawn: Mapping[tuple[str, str], Floats]  # mapping of (copy, figure) to numpy.ndarray, shape (1 + draws,)
    draws: Draws

    def interval(self, copy: str, figure: str) -> Interval:
        """Return one figure with its interval."""
        return self.draws.interval(self.drawn[copy, figure])

    def value(self, copy: str, figure: str) -> float:
        """Return one figure on the sample."""
        return float(self.drawn[copy, figure][0])

    def worst(self, figure: str, apart: frozenset[str] = frozenset()) -> str | None:
        """Return the attack under which a figure is worst, the clean copy and those `apart` left out."""
        sign = FIGURES[figure].better
        asked = [copy for copy in self.copies[1:] if copy not in apart and not np.isnan(self.value(copy, figure))]
        return min(asked, key=lambda copy: sign * self.value(copy, figure)) if asked else None


def measure(subject: Subject, labels: Labels, copies: Sequence[str], draws: Draws, over: Laying = "both") -> Measured:
    """Measure a subject, attacks laid over both classes or over one."""
    laid = subject.laid(labels, over)
    drawn = {
        (name, figure): found
        for copy, name in enumerate(copies)
        for figure, found in figures(laid, labels, draws.weights, copy).items()
    }
    return Measured(laid, tuple(copies), drawn, draws)


OF_GROUPS = ("true_positive", "false_positive", "inconclusive", "evasion", "new_false_alarms")
"""Figures of a part's own images, besides its AUC, which takes those that it is judged against too."""


def group_figures(group: Group, images: Dataset, measured: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """Yield, for each subject, what it makes of the group under every attack."""
    draws, labels = group.draws(images), images.labels[group.index]
    own = draws.weights.copy()
    own[:, len(group.members) :] = 0.0
    for one in measured:
        part = one.subject.taken(group.index)
        yield {
            "kind": group.kind,
            "name": group.name,
            "real": group.real,
            "generated": group.generated,
            "figures": {name: _figures(part, labels, draws, own, copy) for copy, name in enumerate(one.copies)},
        }


def group_aucs(group: Group, images: Dataset, subject: Subject, copies: Sequence[str]) -> dict[str, Any]:
    """Return the AUC of one stage on the group under every attack, without intervals."""
    part, labels = subject.taken(group.index), images.labels[group.index]
    weights = np.ones((1, len(labels)))
    aucs = {name: float(_auc(part, labels, weights, copy)[0]) for copy, name in enumerate(copies)}
    return {"kind": group.kind, "name": group.name, "auc": aucs}


def _figures(part: Subject, labels: Labels, draws: Draws, own: Floats, copy: int) -> dict[str, Any]:
    found = verdict_figures(part, labels, own, copy)
    nothing = np.full(len(own), np.nan)
    return {
        "auc": draws.interval(_auc(part, labels, draws.weights, copy)),
        **{name: float(found.get(name, nothing)[0]) for name in OF_GROUPS},
    }


def _auc(part: Subject, labels: Labels, weights: Floats, copy: int) -> Floats:
    values = part.values[:, copy]
    given = weights if part.calibrated else weights * np.isfinite(values)
    return drawn.Ranked(labels, np.nan_to_num(values, nan=0.0), given).auc()
