"""How fast each stage of a bench was."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from d2f.api.inputs import Floats, Labels
from d2f.api.outcomes import StageFinished
from d2f.data.audit import conclusion, verdict
from d2f.data.dataset import Dataset
from d2f.data.facts import inspect
from d2f.data.groups import components
from d2f.data.shortcuts import Trial, file_properties, telltales, together
from d2f.engine.findings import logit
from d2f.engine.judge import Judge
from d2f.evaluate.score import Attack, ScoreTable, read_attack

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.plugins.catalog import Catalog


Laying: TypeAlias = Literal["both", "generated", "real"]
LAYINGS: tuple[Laying, ...] = ("both", "generated", "real")
"""Whose images an attack is laid over: those of both classes, or of one, the other's staying clean."""

Verdicts: TypeAlias = NDArray[np.int8]
GENERATED, INCONCLUSIVE, REAL = 1, 0, -1


@dataclass(frozen=True)
class Subject:
    """Judgements of a labelled set, clean and under attacks."""

    name: str
    kind: Literal["chain", "stage", "peer"]
    values: Floats  # (images, copies), float64
    verdicts: Verdicts | None  # (images, copies), int8, or None
    calibrated: bool = True

    def taken(self, index: NDArray[np.int64]) -> Subject:
        """Return the judgements of the images at these places."""
        verdicts = None if self.verdicts is None else self.verdicts[index]
        return replace(self, values=self.values[index], verdicts=verdicts)

    def laid(self, labels: Labels, over: Laying) -> Subject:
        """Return the judgements with attacks laid over one class only."""
        if over == "both":
            return self
        attacked = (labels == (1 if over == "generated" else 0))[:, None]
        verdicts = self.verdicts
        if verdicts is not None:
            verdicts = np.where(attacked, verdicts, verdicts[:, :1])
        return replace(self, values=np.where(attacked, self.values, self.values[:, :1]), verdicts=verdicts)


def verdicts_of(probability: Floats, real_below: float, generated_above: float) -> Verdicts:
    """Return the verdict of each probability; NaN is inconclusive."""
    above, below = probability > generated_above, probability < real_below
    return (above.astype(np.int8) - below.astype(np.int8)).astype(np.int8)


def told_names(chains: Sequence[Chain]) -> list[str]:
    """Return a name for each chain; of two that are called alike, such as before and after a fit, with its digest."""
    names = [chain.name for chain in chains]
    return [
        name if names.count(name) == 1 else f"{name}@{chain.digest[:8]}"
        for name, chain in zip(names, chains, strict=True)
    ]


def chain_subjects(chain: Chain, table: ScoreTable, name: str = "") -> tuple[Subject, list[Subject]]:
    """Return a chain's own judgements, and those of each of its stages at the chain's thresholds."""
    judged = Judge(chain.plan).probabilities(table.flat())
    shape, rule = table.scores.shape[:2], chain.file.verdict

    def verdicts(probability: Floats) -> Verdicts:
        return verdicts_of(probability, rule.real_below, rule.generated_above).reshape(shape)

    whole = Subject(name or chain.name, "chain", judged.llr.reshape(shape), verdicts(judged.probability))
    members = judged.member_probabilities
    stages = [
        Subject(member, "stage", logit(members[:, place]).reshape(shape), verdicts(np.round(members[:, place], 4)))
        for place, member in enumerate(table.members)
    ]
    return whole, stages


GridName: TypeAlias = Literal["core", "full", "none"]
CORE = {
    "wiener-7": "wiener:window=7",
    "wiener-7+noise-2": "wiener:window=7+noise:sigma=2",
    "noise-5": "noise:sigma=5",
    "jpeg-60": "jpeg:quality=60",
    "webp-80": "webp:quality=80",
    "resize-0.5": "resize:factor=0.5,back=true",
    "gaussian-blur-1": "gaussian-blur:sigma=1",
    "hard": "resize:factor=0.7+resize:longest=512+jpeg:quality=40",
}
"""The grid that decides targets, besides the clean images; SPECs by short name.

`hard` and `web` scale and compress as an upload does. Their cap on the longest side takes effect on images larger
than the window of `crop` only.
"""

FULL = {
    **CORE,
    "wiener-3": "wiener:window=3",
    "wiener-5": "wiener:window=5",
    "median-3": "median:window=3",
    "median-5": "median:window=5",
    "gaussian-blur-0.5": "gaussian-blur:sigma=0.5",
    "gaussian-blur-2": "gaussian-blur:sigma=2",
    "noise-2": "noise:sigma=2",
    "noise-10": "noise:sigma=10",
    "jpeg-95": "jpeg:quality=95",
    "jpeg-85": "jpeg:quality=85",
    "jpeg-75": "jpeg:quality=75",
    "jpeg-40": "jpeg:quality=40",
    "resize-0.75": "resize:factor=0.75,back=true",
    "resize-1.25": "resize:factor=1.25,back=true",
    "crop": "crop:fraction=0.8",
    "web": "resize:factor=0.8+resize:longest=768+jpeg:quality=60",
    "thumbnail-128": "resize:longest=128,back=true",
    "greyscale": "greyscale",
}
"""The grid for publication."""

GRIDS: dict[str, dict[str, str]] = {"none": {}, "core": CORE, "full": FULL}
APART = {"autoencoder": "autoencoder"}
"""Attacks of the grids that need weights of their own: a row where those are, and never the worst attack."""


@dataclass(frozen=True)
class Laid:
    """The attacks of one bench."""

    attacks: tuple[Attack, ...]
    apart: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def lay_out(grid: GridName, specs: Sequence[str], catalog: Catalog) -> Laid:
    """Return a grid's attacks and then the user's own, each once, however written."""
    named = [read_attack(spec, catalog, name) for name, spec in GRIDS[grid].items()]
    apart, notes = _apart(catalog) if grid != "none" else ([], ())
    own = [read_attack(spec, catalog) for spec in specs]
    taken: dict[str, Attack] = {}
    for attack in (*named, *apart, *own):
        taken.setdefault(attack.spec, attack)
    return Laid(tuple(taken.values()), frozenset(attack.name for attack in apart), notes)


def _apart(catalog: Catalog) -> tuple[list[Attack], tuple[str, ...]]:
    found, notes = [], []
    for name, spec in APART.items():
        if name not in catalog.names("preprocessor"):
            continue
        attack, why = _ready(name, spec, catalog)
        found += [attack] if attack else []
        notes += [f"no row for '{name}': {why}"] if why else []
    return found, tuple(notes)


def _ready(name: str, spec: str, catalog: Catalog) -> tuple[Attack | None, str]:
    from d2f.api.errors import D2FError

    try:
        return read_attack(spec, catalog, name), ""
    except D2FError as error:
        problem = error.problems[0]
        return None, "; ".join((problem.message, *problem.notes[-1:]))


def described(laid: Laid) -> Iterator[dict[str, object]]:
    """Yield each attack as plain data, the clean copy first."""
    yield {"name": "none", "spec": "", "apart": False}
    for attack in laid.attacks:
        yield {"name": attack.name, "spec": attack.spec, "apart": attack.name in laid.apart}


def as_found(images: Dataset, seed: int = 0) -> list[str]:
    """Return the audit's sentences: its conclusion, then how well each property alone tells the label.

    Files that cannot be read are left out; scoring tells of them. Without both labels nothing is said.
    """
    seen = inspect(images)
    labels = seen.images.labels
    if len(set(labels.tolist())) < 2:
        return []
    trial, properties = Trial(labels, components(seen.images), seed=seed), file_properties(seen)
    found = (*telltales(properties, trial), together(properties, trial))
    return [conclusion(found), *map(verdict, found)]


ORDER = ("decode", "protocol", "attack", "preprocessor", "detector")


class Speed:
    """Adds up the events of a run.

    Seconds are the sum over threads, so that images/s is the rate of one thread at that stage alone.
    """

    def __init__(self) -> None:
        self._images: dict[tuple[str, str, str], int] = defaultdict(int)
        self._seconds: dict[tuple[str, str, str], float] = defaultdict(float)
        self.wall = 0.0

    def observe(self, event: StageFinished) -> None:
        """Take one event."""
        key = (event.kind, event.name, event.view)
        self._images[key] += event.images
        self._seconds[key] += event.seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure the wall time of what runs in this context."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.wall += time.perf_counter() - begun

    def stages(self) -> list[dict[str, Any]]:
        """Return each stage: kind, name, view, images, seconds, images_per_second."""
        keys = sorted(self._images, key=lambda key: (ORDER.index(key[0]) if key[0] in ORDER else len(ORDER), key))
        return [
            {
                "kind": kind,
                "name": name,
                "view": view,
                "images": self._images[kind, name, view],
                "seconds": round(self._seconds[kind, name, view], 3),
                "images_per_second": round(rate(self._images[kind, name, view], self._seconds[kind, name, view]), 1),
            }
            for kind, name, view in keys
        ]


def rate(images: int, seconds: float) -> float:
    """Return images a second; 0 where nothing was timed."""
    return images / seconds if seconds > 0 else 0.0
