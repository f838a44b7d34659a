"""Systems measured under every attack, on the same draws: figures, groups, comparisons, curves, changed verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, repeat
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset, Labelled
from d2f.data.groups import components
from d2f.evaluate.systems import Attacked, System
from d2f.metrics import Draws, Interval, Ranked
from d2f.metrics.calibration import even, sigmoid
from d2f.metrics.figures import FIGURES, INCONCLUSIVE, WORDS, figures, verdict_figures
from d2f.metrics.intervals import holm, p_value

WORST = ("auc", "evasion", "new_false_alarms")
"""Figures for which the worst attack is named."""


@dataclass(frozen=True)
class Measured:
    """Every figure of a system on every copy."""

    system: System
    labels: Labels
    copies: tuple[str, ...]
    drawn: Mapping[tuple[str, str], Floats]  # mapping of (copy, figure) to numpy.ndarray, shape (1 + draws,)
    draws: Draws

    def interval(self, copy: str, figure: str) -> Interval:
        """Return one figure with its interval."""
        return self.draws.interval(self.drawn[copy, figure])

    def value(self, copy: str, figure: str) -> float:
        """Return one figure on the sample."""
        return float(self.drawn[copy, figure][0])

    def worst(self, figure: str, but: frozenset[str] = frozenset()) -> str | None:
        """Return the attack under which a figure is worst, those in `but` left out."""
        sign = FIGURES[figure].better
        known = [copy for copy in self.copies[1:] if copy not in but and not np.isnan(self.value(copy, figure))]
        return min(known, key=lambda copy: sign * self.value(copy, figure)) if known else None


def measure(
    system: System,
    labels: Labels,
    copies: Sequence[str],
    draws: Draws,
    whose: Attacked = "both",
    aspect: Floats | None = None,
) -> Measured:
    """Measure a system, attacks applied to both classes or to one; `aspect` (n,) is width over height."""
    judged = system.attacked(labels, whose)
    drawn = {
        (name, figure): found
        for copy, name in enumerate(copies)
        for figure, found in _figures(judged, labels, draws.weights, copy, aspect=aspect).items()
    }
    return Measured(judged, labels, tuple(copies), drawn, draws)


def _figures(
    system: System,
    labels: Labels,
    weights: Floats,
    copy: int,
    among: NDArray[np.bool_] | None = None,
    aspect: Floats | None = None,
) -> dict[str, Floats]:
    """Figures of one copy on each row of weights, of the images that the system was asked of, and `among` them."""
    verdicts = None if system.verdicts is None else system.verdicts[:, copy]
    clean = system.verdicts[:, 0] if copy and system.verdicts is not None else None
    for held in (among, None if system.present is None else system.present[:, copy]):
        weights = weights if held is None else weights * held
    return figures(labels, system.values[:, copy], verdicts, weights, clean, system.calibrated, aspect)


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

    def draws(self, images: Dataset) -> Draws:
        """Return draws of near-duplicate groups within it: they say nothing of other collections."""
        parts = (images[int(place)] for place in self.index)
        units = components(Labelled(image.path, image.label, group=image.group) for image in parts)
        return Draws(units, images.labels[self.index], GROUP_DRAWS)


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


OF_GROUPS = ("true_positive", "false_positive", "inconclusive", "evasion", "new_false_alarms")
"""Figures of a part's own images, besides its AUC, which takes those that it is judged against too."""


def group_figures(group: Group, images: Dataset, measured: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """Yield, for each system, its figures on the group under every attack."""
    draws, labels = group.draws(images), images.labels[group.index]
    own = draws.weights.copy()
    own[:, len(group.members) :] = 0.0
    for one in measured:
        part = one.system.taken(group.index)
        yield {
            "kind": group.kind,
            "name": group.name,
            "real": group.real,
            "generated": group.generated,
            "figures": {name: _of_group(part, labels, draws, own, copy) for copy, name in enumerate(one.copies)},
        }


def group_aucs(group: Group, images: Dataset, system: System, copies: Sequence[str]) -> dict[str, Any]:
    """Return the AUC of one member on the group under every attack, without intervals."""
    part, labels = system.taken(group.index), images.labels[group.index]
    weights = np.ones((1, len(labels)))
    aucs = {name: float(_auc(part, labels, weights, copy)[0]) for copy, name in enumerate(copies)}
    return {"kind": group.kind, "name": group.name, "auc": aucs}


def _of_group(part: System, labels: Labels, draws: Draws, own: Floats, copy: int) -> dict[str, Any]:
    found: Mapping[str, Floats] = {}
    if part.verdicts is not None:
        own = own if part.present is None else own * part.present[:, copy]
        found = verdict_figures(labels, part.verdicts[:, copy], own, part.verdicts[:, 0] if copy else None)
    nothing = np.full(len(own), np.nan)
    return {
        "auc": draws.interval(_auc(part, labels, draws.weights, copy)),
        **{name: float(found.get(name, nothing)[0]) for name in OF_GROUPS},
    }


def _auc(part: System, labels: Labels, weights: Floats, copy: int) -> Floats:
    values = part.values[:, copy]
    given = weights if part.calibrated else weights * np.isfinite(values)
    given = given if part.present is None else given * part.present[:, copy]
    auc: Floats = Ranked(labels, np.nan_to_num(values, nan=0.0), given).auc()
    return auc


COMPARED = ("auc", "tpr_at_5", "evasion")
ALL_PAIRS = 3


def comparisons(measured: Sequence[Measured]) -> Iterator[dict[str, Any]]:
    """Yield each pair of systems, each figure of `COMPARED`, every attack, over the images that both were asked of.

    Of more than `ALL_PAIRS` systems, each is compared with the first only. p-values are corrected over the attacks by
    Holm's method, figure by figure.
    """
    pairs = combinations(measured, 2) if len(measured) <= ALL_PAIRS else zip(repeat(measured[0]), measured[1:])
    for one, other in pairs:
        joint = {copy: _joint(one, other, place) for place, copy in enumerate(one.copies)}
        for figure in COMPARED:
            yield {
                "first": one.system.name,
                "second": other.system.name,
                "figure": figure,
                "images": {copy: len(one.labels) if held is None else int(held.sum()) for copy, held in joint.items()},
                "attacks": _compared(one, other, figure, joint),
            }


def _joint(one: Measured, other: Measured, copy: int) -> NDArray[np.bool_] | None:
    """Which images both systems have a judgement of; None for all."""
    held = np.ones(len(one.labels), dtype=bool)
    for system in (one.system, other.system):
        if system.present is not None:
            held &= system.present[:, copy]
        if not system.calibrated:
            held &= np.isfinite(system.values[:, copy])
    return None if held.all() else held


def _compared(
    one: Measured, other: Measured, figure: str, joint: Mapping[str, NDArray[np.bool_] | None]
) -> dict[str, Any]:
    drawn = {
        copy: _joint_figure(one, figure, place, joint[copy]) - _joint_figure(other, figure, place, joint[copy])
        for place, copy in enumerate(one.copies)
    }
    differences = {copy: values for copy, values in drawn.items() if not np.isnan(values[0])}
    raw = [p_value(values) if one.draws.varied else float("nan") for values in differences.values()]
    return {
        copy: {"difference": list(one.draws.interval(differences[copy])), "p": p, "p_holm": corrected}
        for copy, p, corrected in zip(differences, raw, holm(raw), strict=True)
    }


def _joint_figure(one: Measured, figure: str, copy: int, held: NDArray[np.bool_] | None) -> Floats:
    if held is None:
        return one.drawn[one.copies[copy], figure]
    return _figures(one.system, one.labels, one.draws.weights, copy, held)[figure]


ROC_POINTS = 150
BINS = 10
HISTOGRAM_BINS = 30


def curves(system: System, labels: Labels, copy: int) -> dict[str, Any]:
    """Return ``roc``, ``histogram`` and, of a calibrated system, ``reliability``, as plain data."""
    values = system.values[:, copy]
    held = np.isfinite(values) | system.calibrated
    held = held if system.present is None else held & system.present[:, copy]
    values, labels = np.nan_to_num(values[held], nan=0.0), labels[held]
    if len(set(labels.tolist())) < 2:
        return {}
    shown = sigmoid(values) if system.calibrated else _by_rank(values)
    found = {"roc": _roc(labels, values), "histogram": _histogram(labels, shown)}
    if system.calibrated:
        found["reliability"] = _reliability(labels, shown)
    return found


def _roc(labels: Labels, values: Floats) -> list[list[float]]:
    """Points (false-positive rate, true-positive rate) of the curve, corners first, at most `ROC_POINTS` of them."""
    ranked = Ranked(labels, values)
    false, true = ranked.false[0] / ranked.false[0, -1], ranked.true[0] / ranked.true[0, -1]
    points = np.concatenate([[[0.0, 0.0]], np.stack([false, true], axis=1)])
    if len(points) > ROC_POINTS:
        points = points[np.unique(np.linspace(0, len(points) - 1, ROC_POINTS).round().astype(int))]
    return [[round(float(x), 4), round(float(y), 4)] for x, y in points]


def _reliability(labels: Labels, probability: Floats) -> list[list[float]]:
    """Of each bin of equal width that holds images: mean probability, share generated, share of all images.

    Both labels weigh the same, for probabilities are at even prior.
    """
    weights = even(labels, np.ones((1, len(labels))))[0]
    at = np.minimum((probability * BINS).astype(int), BINS - 1)
    mass = np.bincount(at, weights, BINS)
    mean, share = (np.bincount(at, weights * of, BINS) for of in (probability, labels))
    return [
        [round(float(mean[i] / mass[i]), 4), round(float(share[i] / mass[i]), 4), round(float(mass[i]), 4)]
        for i in range(BINS)
        if mass[i] > 0
    ]


def _histogram(labels: Labels, shown: Floats) -> dict[str, list[float]]:
    """Share of each class's images in each of `HISTOGRAM_BINS` bins over [0, 1]."""
    found = {}
    for label, word in enumerate(("real", "generated")):
        counts = np.histogram(shown[labels == label], HISTOGRAM_BINS, (0.0, 1.0))[0]
        found[word] = [round(float(share), 4) for share in counts / max(1, int((labels == label).sum()))]
    return found


def _by_rank(values: Floats) -> Floats:
    """Raw scores by rank, in [0, 1]: their scale is not known."""
    distinct, at = np.unique(values, return_inverse=True)
    unit: Floats = at / max(1, len(distinct) - 1)
    return unit


LISTED = 500
"""Images listed of one chain, those changed by most attacks first; the rows hold all."""


def changed_verdicts(system: System, images: Dataset, copies: Sequence[str]) -> list[dict[str, Any]]:
    """Return the images that have a clean verdict and another one under some attack.

    One that changes to the opposite counts more than one that becomes inconclusive.
    """
    if system.verdicts is None or len(copies) < 2:
        return []
    clean = system.verdicts[:, :1].astype(int)
    distance = np.where(clean == INCONCLUSIVE, 0, np.abs(system.verdicts - clean))
    total = distance.sum(axis=1)
    order = np.argsort(-total, kind="stable")[: min(LISTED, int((total > 0).sum()))]
    return [
        {
            "path": images[int(i)].path,
            "label": WORDS[1 if images[int(i)].label else -1],
            "generator": images[int(i)].generator,
            "clean": WORDS[int(clean[i, 0])],
            "attacked": {
                copies[copy]: WORDS[int(system.verdicts[i, copy])] for copy in np.flatnonzero(distance[i]).tolist()
            },
        }
        for i in order
    ]
