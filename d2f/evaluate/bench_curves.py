"""The images whose verdict an attack turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, repeat
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import Dataset
from d2f.engine.findings import expit
from d2f.engine.plan import PLAIN, BoundDetector, Plan, Step
from d2f.evaluate.bench_figures import Measured, holm, p_value
from d2f.evaluate.bench_systems import INCONCLUSIVE, Subject
from d2f.evaluate.delong import difference_p
from d2f.metrics import weighted as drawn
from d2f.plugins.catalog import canonical

if TYPE_CHECKING:
    from d2f.chain.chain import Chain


ROC_POINTS = 150
BINS = 10
HISTOGRAM_BINS = 30


def curves(subject: Subject, labels: Labels, copy: int) -> dict[str, Any]:
    """Return ``roc``, ``histogram`` and, of a calibrated subject, ``reliability``, as plain data."""
    values = subject.values[:, copy]
    held = np.isfinite(values) | subject.calibrated
    values, labels = np.nan_to_num(values[held], nan=0.0), labels[held]
    if len(set(labels.tolist())) < 2:
        return {}
    shown = expit(values) if subject.calibrated else _unit(values)
    found = {"roc": _roc(labels, values), "histogram": _histogram(labels, shown)}
    if subject.calibrated:
        found["reliability"] = _reliability(labels, shown)
    return found


def _roc(labels: Labels, values: Floats) -> list[list[float]]:
    """Points (false-positive rate, true-positive rate) of the curve, corners first, at most `ROC_POINTS` of them."""
    ranked = drawn.Ranked(labels, values, np.ones((1, len(labels))))
    false, true = ranked.false[0] / ranked.false[0, -1], ranked.true[0] / ranked.true[0, -1]
    points = np.concatenate([[[0.0, 0.0]], np.stack([false, true], axis=1)])
    if len(points) > ROC_POINTS:
        places = np.unique(np.linspace(0, len(points) - 1, ROC_POINTS).round().astype(int))
        points = points[places]
    return [[round(float(x), 4), round(float(y), 4)] for x, y in points]


def _reliability(labels: Labels, probability: Floats) -> list[list[float]]:
    """Of each bin of equal width that holds something: mean probability, share generated, share of all images.

    Both labels weigh alike, for probabilities are at even prior.
    """
    weights = drawn.even(labels, np.ones((1, len(labels))))[0]
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
    return {
        word: [round(float(count), 4) for count in _shares(shown[labels == label])]
        for label, word in enumerate(("real", "generated"))
    }


def _shares(shown: Floats) -> Floats:
    counts: Floats = np.histogram(shown, HISTOGRAM_BINS, (0.0, 1.0))[0] / max(1, len(shown))
    return counts


def _unit(values: Floats) -> Floats:
    """Raw scores by rank, in [0, 1]: their scale is not known."""
    distinct, at = np.unique(values, return_inverse=True)
    unit: Floats = at / max(1, len(distinct) - 1)
    return unit


COMPARED = ("auc", "tpr_at_5", "evasion")
ALL_PAIRS = 3


def comparisons(measured: Sequence[Measured], labels: Labels) -> Iterator[dict[str, Any]]:
    """Yield each pair of subjects, each figure of `COMPARED`, every attack.

    Of more than `ALL_PAIRS` subjects, each is compared with the first only.

    p-values are corrected over the attacks by Holm's method, figure by figure.
    """
    pairs = combinations(measured, 2) if len(measured) <= ALL_PAIRS else zip(repeat(measured[0]), measured[1:])
    for one, other in pairs:
        for figure in COMPARED:
            yield {
                "first": one.subject.name,
                "second": other.subject.name,
                "figure": figure,
                "attacks": _compared(one, other, figure, labels),
            }


def _compared(one: Measured, other: Measured, figure: str, labels: Labels) -> dict[str, Any]:
    differences = {copy: one.drawn[copy, figure] - other.drawn[copy, figure] for copy in one.copies}
    said = {copy: drawn for copy, drawn in differences.items() if not np.isnan(drawn[0])}
    raw = [p_value(drawn) if one.draws.varied else float("nan") for drawn in said.values()]
    found: dict[str, Any] = {}
    for copy, p, corrected in zip(said, raw, holm(raw), strict=True):
        found[copy] = {"difference": list(one.draws.interval(said[copy])), "p": p, "p_holm": corrected}
        if figure == "auc":
            found[copy]["p_delong"] = _delong(one, other, one.copies.index(copy), labels)
    return found


def _delong(one: Measured, other: Measured, copy: int, labels: Labels) -> float:
    first, second = (measured.subject.values[:, copy] for measured in (one, other))
    first, second = (
        np.where(np.isnan(values) & measured.subject.calibrated, 0.0, values)
        for values, measured in ((first, one), (second, other))
    )
    held = np.isfinite(first) & np.isfinite(second)
    return difference_p(labels[held], first[held], second[held])


Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Joint:
    """One plan for several chains."""

    plan: Plan
    columns: tuple[tuple[int, ...], ...]
    keys: tuple[str, ...]


def join(chains: Sequence[Chain]) -> Joint:
    """Return the chains' common plan; equal detectors and equal views are shared."""
    views = _Named[tuple[Step, ...]]({PLAIN: "[]"}, {PLAIN: ()})
    detectors = _Named[BoundDetector]()
    looks: dict[str, list[str]] = {}
    wanted: list[list[tuple[str, str]]] = []
    for chain in chains:
        named = {name: views.name(name, _view_key(steps), steps) for name, steps in chain.plan.views.items()}
        members = []
        for detector in chain.plan.detectors:
            name = detectors.name(detector.id, detector.key, detector)
            seen = looks.setdefault(name, [])
            for view in detector.views:
                members.append((name, named[view]))
                if named[view] not in seen:
                    seen.append(named[view])
        wanted.append(members)
    bound = tuple(BoundDetector(name, one.stage, tuple(looks[name]), one.key) for name, one in detectors.things.items())
    allow_missing = any(chain.plan.allow_missing for chain in chains)
    plan = Plan("+".join(chain.name for chain in chains), "", views.things, bound, allow_missing=allow_missing)
    place = {member: column for column, member in enumerate(plan.members)}
    keys = tuple(f"{detectors.keys[name]} on {views.keys[view]}" for name, view in plan.members)
    return Joint(plan, tuple(tuple(place[member] for member in members) for members in wanted), keys)


class _Named(Generic[Thing]):
    """Things by name: equal ones share it, and a name that is taken by another gets a number."""

    def __init__(self, keys: dict[str, str] | None = None, things: dict[str, Thing] | None = None) -> None:
        self.keys = keys or {}
        self.things = things or {}

    def name(self, wanted: str, key: str, thing: Thing) -> str:
        for name, known in self.keys.items():
            if known == key:
                return name
        name, number = wanted, 2
        while name in self.keys:
            name, number = f"{wanted}-{number}", number + 1
        self.keys[name], self.things[name] = key, thing
        return name


def _view_key(steps: Sequence[Step]) -> str:
    return canonical([step.key for step in steps])


LISTED = 500
"""Images listed of one chain, those turned by most attacks first; the rows hold all."""

WORDS = {1: "generated", 0: "inconclusive", -1: "real"}


def flips(subject: Subject, images: Dataset, copies: Sequence[str]) -> list[dict[str, Any]]:
    """Return the images that have a clean verdict and another one under some attack.

    One that turns to the opposite counts more than one that turns inconclusive.
    """
    if subject.verdicts is None or len(copies) < 2:
        return []
    clean = subject.verdicts[:, :1].astype(int)
    distance = np.where(clean == INCONCLUSIVE, 0, np.abs(subject.verdicts - clean))
    turned = distance.sum(axis=1)
    order = np.argsort(-turned, kind="stable")[: min(LISTED, int((turned > 0).sum()))]
    return [
        {
            "path": images[int(i)].path,
            "label": WORDS[1 if images[int(i)].label else -1],
            "generator": images[int(i)].generator,
            "clean": WORDS[int(clean[i, 0])],
            "turned": {
                copies[copy]: WORDS[int(subject.verdicts[i, copy])] for copy in np.flatnonzero(distance[i]).tolist()
            },
        }
        for i in order
    ]
