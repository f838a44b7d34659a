"""The systems of a bench: chains, their members, and other tools' scores, each with judgements of every copy."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError, Place, Problem
from d2f.api.inputs import Floats, Labels
from d2f.data.dataset import LABEL_WORDS, Dataset
from d2f.engine.findings import clipped, logit
from d2f.engine.judge import Judge
from d2f.engine.plan import PLAIN, BoundDetector, Plan, Step
from d2f.evaluate.attacks import CLEAN
from d2f.evaluate.score import ScoreTable
from d2f.images.files import TABLES
from d2f.metrics.figures import INCONCLUSIVE, Verdicts, verdicts_of
from d2f.plugins.catalog import canonical

if TYPE_CHECKING:
    from d2f.chain.chain import Chain

Attacked: TypeAlias = Literal["both", "generated", "real"]
ATTACKED: tuple[Attacked, ...] = ("both", "generated", "real")
"""Whose images are attacked: those of both classes, or of one, the other's staying clean."""


@dataclass(frozen=True)
class System:
    """Judgements of a labelled set, clean and under attacks."""

    name: str
    kind: Literal["chain", "stage", "external"]
    values: Floats  # (images, copies), float64
    verdicts: Verdicts | None  # (images, copies), int8, or None
    calibrated: bool = True
    present: NDArray[np.bool_] | None = None  # (images, copies): which it was asked of; None for all

    def taken(self, index: NDArray[np.int64]) -> System:
        """Return the judgements of the images at these places."""
        verdicts = None if self.verdicts is None else self.verdicts[index]
        present = None if self.present is None else self.present[index]
        return replace(self, values=self.values[index], verdicts=verdicts, present=present)

    def attacked(self, labels: Labels, whose: Attacked) -> System:
        """Return the judgements with attacks on one class only."""
        if whose == "both":
            return self
        chosen = (labels == (1 if whose == "generated" else 0))[:, None]
        verdicts, present = self.verdicts, self.present
        return replace(
            self,
            values=np.where(chosen, self.values, self.values[:, :1]),
            verdicts=None if verdicts is None else np.where(chosen, verdicts, verdicts[:, :1]),
            present=None if present is None else np.where(chosen, present, present[:, :1]),
        )


def system_names(chains: Sequence[Chain]) -> list[str]:
    """Return a name for each chain; of two of one name, such as before and after a fit, with its digest."""
    names = [chain.name for chain in chains]
    return [
        name if names.count(name) == 1 else f"{name}@{chain.digest[:8]}"
        for name, chain in zip(names, chains, strict=True)
    ]


def chain_systems(chain: Chain, table: ScoreTable, name: str = "") -> tuple[System, list[System]]:
    """Return a chain's own judgements, and those of each of its members at the chain's thresholds."""
    judged = Judge(chain.plan).probabilities(table.flat())
    shape, rule = table.scores.shape[:2], chain.file.verdict

    def verdicts(probability: Floats) -> Verdicts:
        return verdicts_of(probability, rule.real_below, rule.generated_above).reshape(shape)

    own = verdicts(judged.probability)
    if table.turned is not None:
        own[table.turned] = INCONCLUSIVE
    whole = System(name or chain.name, "chain", judged.llr.reshape(shape), own)
    members = judged.member_probabilities
    stages = [
        System(member, "stage", logit(members[:, place]).reshape(shape), verdicts(np.round(members[:, place], 4)))
        for place, member in enumerate(table.members)
    ]
    return whole, stages


def join(chains: Sequence[Chain]) -> tuple[Plan, list[list[int]]]:
    """Return one plan for several chains, which share equal detectors and views, and each chain's columns in it.

    The columns of a chain are its members, then its preconditions.
    """
    from d2f.evaluate.score import with_checks

    views: dict[str, tuple[Step, ...]] = {PLAIN: ()}
    detectors: dict[str, BoundDetector] = {}
    view_keys, detector_keys, looks = {PLAIN: "[]"}, dict[str, str](), dict[str, list[str]]()
    wanted: list[list[tuple[str, str]]] = []
    for plan in (with_checks(chain.plan) for chain in chains):
        named = {}
        for name, steps in plan.views.items():
            named[name] = _shared_name(view_keys, name, canonical([step.key for step in steps]))
            views.setdefault(named[name], steps)
        members = []
        for detector in plan.detectors:
            name = _shared_name(detector_keys, detector.id, detector.key)
            detectors.setdefault(name, detector)
            seen = looks.setdefault(name, [])
            for view in detector.views:
                members.append((name, named.get(view, view)))
                if members[-1][1] not in seen:
                    seen.append(members[-1][1])
        wanted.append(members)
    bound = tuple(BoundDetector(name, one.stage, tuple(looks[name]), one.key) for name, one in detectors.items())
    allow_missing = any(chain.plan.allow_missing for chain in chains)
    plan = Plan("+".join(chain.name for chain in chains), "", views, bound, allow_missing=allow_missing)
    place = {member: column for column, member in enumerate(plan.members)}
    return plan, [[place[member] for member in members] for members in wanted]


def _shared_name(keys: dict[str, str], wanted: str, key: str) -> str:
    """Return the name of a key, entered among `keys`: equal ones share it, a name that another has gets a number."""
    for name, known in keys.items():
        if known == key:
            return name
    name, number = wanted, 2
    while name in keys:
        name, number = f"{wanted}-{number}", number + 1
    keys[name] = key
    return name


FEWEST_NAMED = 0.5
"""A file of external scores that names a smaller share of the images is probably of another set."""


def read_external(path: str, table: ScoreTable, every: Dataset) -> System:
    """Read another tool's scores of a set; `every` is the set before any limit, in which paths must be unique."""
    rows, columns = _external_rows(path)
    named = _Paths(every)
    place = {image.path: number for number, image in enumerate(table.images)}
    shape = (len(table.images), len(table.copies))
    values, verdicts = np.full(shape, np.nan), np.zeros(shape, dtype=np.int8)
    present = np.zeros(shape, dtype=bool)
    calibrated = "probability" in columns
    for line, row in rows:
        image, attack = named.find(row["path"]), row.get("attack") or CLEAN
        number = place.get(image) if image is not None else None
        if number is None or attack not in table.copies:
            continue
        copy = table.copies.index(attack)
        if present[number, copy]:
            raise _unreadable_scores(path, f"two rows name '{image}' under attack '{attack}'", line)
        present[number, copy] = True
        values[number, copy] = _score_number(path, line, row["probability" if calibrated else "score"], calibrated)
        label = LABEL_WORDS.get(row.get("verdict", "").strip().lower())
        verdicts[number, copy] = INCONCLUSIVE if label is None else 2 * label - 1
    if np.isfinite(values[:, 0]).mean() < FEWEST_NAMED:
        raise _unreadable_scores(path, f"it names {int(np.isfinite(values[:, 0]).sum())} of the {shape[0]} images")
    stated: Verdicts | None = verdicts if "verdict" in columns else None
    if calibrated:
        stated = verdicts_of(values, 0.5, 0.5) if stated is None else stated
        values = logit(clipped(values))
    return System(Path(path).stem, "external", values, stated, calibrated=calibrated, present=present)


class _Paths:
    """Images found by the paths that another tool wrote.

    A path names an image where it ends in the image's whole path below the set's folder, or where the image's absolute
    path alone of all ends in it. A part of a path never does: `real/1.png` is not `generated/1.png`.
    """

    def __init__(self, images: Dataset) -> None:
        root = os.path.dirname(images.root) if images.root.lower().endswith(TABLES) else images.root
        self._below: dict[tuple[str, ...], str] = {}
        self._endings: dict[tuple[str, ...], str | None] = {}
        for image in images:
            self._below[Path(os.path.relpath(image.path, root or ".")).parts] = image.path
            parts = Path(os.path.abspath(image.path)).parts
            for start in range(len(parts)):
                ending = parts[start:]
                self._endings[ending] = None if ending in self._endings else image.path

    def find(self, path: str) -> str | None:
        """Return the path of the image that is named, if it is exactly one."""
        parts = Path(os.path.normpath(path)).parts
        whole = (parts[start:] for start in range(len(parts)))
        return next((self._below[ending] for ending in whole if ending in self._below), self._endings.get(parts))


def _external_rows(path: str) -> tuple[list[tuple[int, Mapping[str, str]]], set[str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", restkey="", strict=True)
            columns = set(reader.fieldnames or ())
            if "path" not in columns or not columns & {"score", "probability"}:
                raise _unreadable_scores(path, "it needs the columns path and score, or path and probability", 1)
            return [(reader.line_num, row) for row in reader], columns
    except FileNotFoundError:
        raise D2FError.of("D2F002", f"there is no file '{path}'") from None
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise _unreadable_scores(path, str(error)) from error


def _score_number(path: str, line: int, text: str, probability: bool) -> float:
    try:
        value = float(text) if text.strip() else math.nan
    except ValueError:
        raise _unreadable_scores(path, f"'{text}' is not a number", line) from None
    if math.isinf(value) or (probability and not math.isnan(value) and not 0 <= value <= 1):
        raise _unreadable_scores(path, f"{text} is out of range", line)
    return value


def _unreadable_scores(path: str, why: str, line: int = 0) -> D2FError:
    note = "scores are a CSV table with the columns path, score and, where it holds more than clean images, attack"
    return D2FError(
        Problem("D2F605", f"the scores cannot be read: {why}", Place(path, line, 1 if line else 0), notes=(note,))
    )
