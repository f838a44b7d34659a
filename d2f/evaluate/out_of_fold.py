"""Out of fold for weights too: images that a detector's weights have seen are scored by weights that have not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.inputs import Floats, Weights
from d2f.chain.build import build_plan
from d2f.data.dataset import Dataset
from d2f.data.groups import file_sha256
from d2f.engine.judge import Judge
from d2f.engine.loading import load_stages
from d2f.engine.plan import BoundDetector, Plan
from d2f.evaluate.fit_rows import Recipe, Rows
from d2f.evaluate.parts import fit_parts
from d2f.weights import read_weights

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.data.dataset import Dataset


@dataclass(frozen=True)
class OutOfFold:
    """Judgements of m rows, each by parts fitted without the row's component."""

    fold: NDArray[np.int64]  # (m,), int64
    members: Floats  # (m, members), float64
    llr: Floats  # (m,), float64
    probability: Floats  # (m,), float64


def out_of_fold(plan: Plan, recipe: Recipe, rows: Rows, prior: float, k: int, seed: int) -> OutOfFold:
    """Fit everything k times, each time without one fold, and judge that fold."""
    fold = rows.deal(k, seed)
    found = OutOfFold(fold, *(np.full(shape, np.nan) for shape in (rows.scores.shape, len(rows), len(rows))))
    for number in np.unique(fold):
        held = fold == number
        parts = fit_parts(recipe, rows.take(~held), k, seed)
        judge = Judge(Plan(plan.name, "", plan.views, plan.detectors, parts.decision(prior)))
        judged = judge.probabilities(rows.scores[held])
        found.members[held], found.llr[held] = judged.member_probabilities, judged.llr
        found.probability[held] = judged.probability
    return found


def find_overlap(dealt: Sequence[Dealt], images: Dataset, standing: Collection[str] = ()) -> Iterator[str]:
    """Yield, for each detector whose weights score images that they were trained on, a sentence that says so.

    Weights are loaded. Digests are compared by their first 8 bytes, as weights files hold them.
    A stage says what it was trained on by `trained_on`; one that does not say is taken at its word.
    """
    for one in dealt:
        load_stages(one.plan)
    if not any(len(seen(detector.stage)) for one in dealt for detector in one.plan.detectors):
        return
    found = prefixes(images)
    for place, detector in enumerate(dealt[0].plan.detectors):
        shared = [number for one in dealt for number in _shared(one, place, found)]
        if shared:
            first = images[min(shared)].path
            whose = f"'{detector.id}'" + (" and of all that stand in for them" if detector.id in standing else "")
            yield f"{len(shared)} of {len(images)} images trained the weights of {whose}, such as {first}"


def need_no_overlap(dealt: Sequence[Dealt], images: Dataset, standing: Collection[str] = ()) -> None:
    """Raise where weights score images that they were trained on; parameters as of `find_overlap`."""
    found = tuple(find_overlap(dealt, images, standing))
    if found:
        raise D2FError.of(
            "D2F604",
            found[0],
            *found[1:],
            "fit on images that no weights have seen (`--part chains` of the project's own set), give weights that "
            "did not see them (--oof-weights DETECTOR=DIR), or --allow-overlap",
        )


def prefixes(images: Dataset) -> NDArray[np.uint64]:
    """Return the first 8 bytes of each image's digest, shape (n,), as `seen` lists them."""
    return np.array([_prefix(image.path) for image in images], dtype=np.uint64)


def seen(stage: object) -> NDArray[np.uint64]:
    """Return what a stage says that its weights were trained on, shape (m,); empty where it does not say."""
    stated = getattr(stage, "trained_on", None)
    return np.asarray(() if stated is None else stated, dtype=np.uint64)


def _shared(one: Dealt, place: int, found: NDArray[np.uint64]) -> list[int]:
    numbers = np.asarray(one.numbers)
    shared: list[int] = numbers[np.isin(found[numbers], seen(one.plan.detectors[place].stage))].tolist()
    return shared


def _prefix(path: str) -> int:
    """First 8 bytes of the file's sha256, big-endian; 0 for a file that cannot be read, which is told elsewhere."""
    try:
        return int(file_sha256(path)[:16], 16)
    except OSError:
        return 0


@dataclass(frozen=True)
class Dealt:
    """Images of a set and the plan that scores them."""

    plan: Plan
    numbers: tuple[int, ...]


def deal(chain: Chain, images: Dataset, folders: Mapping[str, str]) -> tuple[Dealt, ...]:
    """Deal images to plans, each with the first weights of every detector that did not see the image."""
    if not folders:
        return (Dealt(chain.plan, tuple(range(len(images)))),)
    known = [detector.id for detector in chain.plan.detectors]
    for name in folders:
        if name not in known:
            raise D2FError.of("D2F604", f"chain '{chain.name}' has no detector '{name}'", f"it has {', '.join(known)}")
    load_stages(chain.plan)
    candidates = [_candidates(chain, place, folders.get(name)) for place, name in enumerate(known)]
    found = prefixes(images)
    chosen = np.stack([_first_unseen(each, found) for each in candidates], axis=1)
    numbers: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, choice in enumerate(chosen.tolist()):
        numbers[tuple(choice)].append(number)
    return tuple(
        Dealt(_plan_of(chain, [each[one] for each, one in zip(candidates, choice, strict=True)]), tuple(listed))
        for choice, listed in sorted(numbers.items())
    )


def digests(dealt: Iterable[Dealt], plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the sha256 of the weights that scored images in the place of a plan's own, by detector."""
    used: dict[str, set[str]] = defaultdict(set)
    for one in dealt:
        for detector in one.plan.detectors:
            used[detector.id] |= _weights(detector.stage)
    found = {own.id: tuple(sorted(used[own.id] - _weights(own.stage))) for own in plan.detectors}
    return {name: standing for name, standing in found.items() if standing}


def other_recipes(dealt: Sequence[Dealt], plan: Plan, folders: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each detector of which another recipe made the out-of-fold weights than its own weights."""
    for place, own in enumerate(plan.detectors):
        scoring = {id(one.plan.detectors[place].stage): one.plan.detectors[place].stage for one in dealt}
        if any(_by_another_recipe(stage, own.stage) for stage in scoring.values()):
            yield f"out-of-fold weights in '{folders[own.id]}' come from another recipe than the weights of '{own.id}'"


def _candidates(chain: Chain, place: int, folder: str | None) -> list[BoundDetector]:
    own = chain.plan.detectors[place]
    if folder is None:
        return [own]
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        why = f"'{folder}' holds no weights to stand in for those of '{own.id}'"
        raise D2FError.of("D2F604", why, "`d2f train RECIPE --oof-folds DIR` leaves them")
    return [own, *(_with_weights(chain, place, file) for file in files)]


def _with_weights(chain: Chain, place: int, file: Path) -> BoundDetector:
    """Return a detector of the chain with other weights, loaded; nothing else of the chain is built."""
    use = chain.file.detectors[place]
    use = use.model_copy(update={"with_": {**use.with_, "weights": str(file)}})
    plan = build_plan(chain.file.model_copy(update={"views": {}, "detectors": [use]}), chain.catalog, decision=False)
    why = next(iter(load_stages(replace(plan, allow_missing=True)).values()), "")
    (detector,) = plan.detectors
    if why or not len(seen(detector.stage)):
        reason = why or "nothing says which images they were trained on"
        raise D2FError.of("D2F604", f"'{file}' cannot stand in for the weights of '{use.id}': {reason}")
    return detector


def _plan_of(chain: Chain, detectors: list[BoundDetector]) -> Plan:
    return replace(chain.plan, detectors=tuple(detectors), decision=None)


def _first_unseen(candidates: list[BoundDetector], found: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return which candidate scores each image, shape (n,); the first one where all of them saw it."""
    unseen = np.stack([~np.isin(found, seen(candidate.stage)) for candidate in candidates])
    first: NDArray[np.int64] = unseen.argmax(axis=0)
    return first


def _by_another_recipe(stage: Any, own: Any) -> bool:
    """Whether those weights of a stage that stand in for a stage's own say another recipe; the others are shared."""
    theirs, ours = ({record.sha256: record for record in getattr(each, "weights", ())} for each in (stage, own))
    found = _recipes(theirs[sha256] for sha256 in theirs.keys() - ours.keys())
    expected = _recipes(ours[sha256] for sha256 in ours.keys() - theirs.keys())
    return bool(found and expected) and found != expected


def _recipes(records: Iterable[Weights]) -> set[str]:
    recipes: set[str] = set()
    for record in records:
        with suppress(D2FError):  # of another format, which says no recipe
            recipes.add(read_weights(record).metadata.get("recipe", ""))
    return recipes - {""}


def _weights(stage: Any) -> set[str]:
    return {record.sha256 for record in getattr(stage, "weights", ())}
