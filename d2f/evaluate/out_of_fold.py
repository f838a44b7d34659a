"""Out of fold: every image is judged by parts, and scored by weights, that were not fitted to it."""

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
from d2f.data.groups import digest_of
from d2f.engine.findings import load_stages
from d2f.engine.judge import Judge
from d2f.engine.plan import BoundDetector, Plan
from d2f.evaluate.parts import FitRecipe, FitRows, fit_parts
from d2f.evaluate.score import Assignment
from d2f.files import file_sha256
from d2f.weights import read_weights

if TYPE_CHECKING:
    from d2f.chain.chain import Chain


@dataclass(frozen=True)
class OutOfFold:
    """Judgements of m rows, each by parts fitted without the row's component."""

    fold: NDArray[np.int64]  # (m,), int64
    members: Floats  # (m, members), float64
    llr: Floats  # (m,), float64
    probability: Floats  # (m,), float64


def out_of_fold(plan: Plan, recipe: FitRecipe, rows: FitRows, prior: float, k: int, seed: int) -> OutOfFold:
    """Fit everything k times, each time without one fold, and judge that fold."""
    fold = rows.folds(k, seed)
    found = OutOfFold(fold, *(np.full(shape, np.nan) for shape in (rows.scores.shape, len(rows), len(rows))))
    for number in np.unique(fold):
        held = fold == number
        parts = fit_parts(recipe, rows.take(~held), k, seed)
        judge = Judge(Plan(plan.name, "", plan.views, plan.detectors, parts.decision(prior)))
        judged = judge.probabilities(rows.scores[held])
        found.members[held], found.llr[held] = judged.member_probabilities, judged.llr
        found.probability[held] = judged.probability
    return found


def find_overlap(assigned: Sequence[Assignment], images: Dataset, replaced: Collection[str] = ()) -> Iterator[str]:
    """Yield, for each detector whose weights score images that they were trained on, a sentence that says so.

    Weights are loaded. Digests are compared by their first 8 bytes, as weights files hold them. A stage that does not
    name what it was trained on (`trained_on`) is trusted. `replaced`: detectors with out-of-fold weights.
    """
    for one in assigned:
        load_stages(one.plan)
    if not any(len(trained_on(detector.stage)) for one in assigned for detector in one.plan.detectors):
        return
    found = _prefixes(images)
    for place, detector in enumerate(assigned[0].plan.detectors):
        shared = [number for one in assigned for number in _shared(one, place, found)]
        if shared:
            first = images[min(shared)].path
            whose = f"'{detector.id}'" + (" and all of its out-of-fold weights" if detector.id in replaced else "")
            yield f"{len(shared)} of {len(images)} images trained the weights of {whose}, such as {first}"


def require_no_overlap(assigned: Sequence[Assignment], images: Dataset, replaced: Collection[str] = ()) -> None:
    """Raise where weights score images that they were trained on; parameters as of `find_overlap`."""
    found = tuple(find_overlap(assigned, images, replaced))
    if found:
        raise D2FError.of(
            "D2F604",
            found[0],
            *found[1:],
            "fit on images that no weights have seen (`--part chains` of the project's own set), give weights that "
            "did not see them (--oof-weights DETECTOR=DIR), or --allow-overlap",
        )


def _prefixes(images: Dataset) -> NDArray[np.uint64]:
    digests = [""] * len(images)
    for place, image in enumerate(images):
        with suppress(OSError):  # of a file that cannot be read, which scoring reports
            digests[place] = file_sha256(image.path)
    return prefixes(digests)


def _shared(one: Assignment, place: int, found: NDArray[np.uint64]) -> list[int]:
    numbers = np.asarray(one.numbers)
    shared: list[int] = numbers[np.isin(found[numbers], trained_on(one.plan.detectors[place].stage))].tolist()
    return shared


def assign(chain: Chain, images: Dataset, folders: Mapping[str, str]) -> tuple[Assignment, ...]:
    """Assign images to plans, each with the first weights of every detector that did not see the image."""
    if not folders:
        return (Assignment(chain.plan, tuple(range(len(images)))),)
    known = [detector.id for detector in chain.plan.detectors]
    for name in folders:
        if name not in known:
            raise D2FError.of("D2F604", f"chain '{chain.name}' has no detector '{name}'", f"it has {', '.join(known)}")
    load_stages(chain.plan)
    candidates = [_candidates(chain, place, folders.get(name)) for place, name in enumerate(known)]
    found = _prefixes(images)
    chosen = np.stack([_first_untrained_on(each, found) for each in candidates], axis=1)
    numbers: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, choice in enumerate(chosen.tolist()):
        numbers[tuple(choice)].append(number)
    assigned = []
    for choice, listed in sorted(numbers.items()):
        detectors = tuple(each[one] for each, one in zip(candidates, choice, strict=True))
        assigned.append(Assignment(replace(chain.plan, detectors=detectors, decision=None), tuple(listed)))
    return tuple(assigned)


def oof_digests(assigned: Iterable[Assignment], plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the sha256 of the out-of-fold weights that scored images, by detector."""
    used: dict[str, set[str]] = defaultdict(set)
    for one in assigned:
        for detector in one.plan.detectors:
            used[detector.id] |= _weights(detector.stage)
    found = {own.id: tuple(sorted(used[own.id] - _weights(own.stage))) for own in plan.detectors}
    return {name: replaced for name, replaced in found.items() if replaced}


def other_recipes(assigned: Sequence[Assignment], plan: Plan, folders: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each detector of which another recipe made the out-of-fold weights than its own weights."""
    for place, own in enumerate(plan.detectors):
        scoring = {id(one.plan.detectors[place].stage): one.plan.detectors[place].stage for one in assigned}
        if any(_by_another_recipe(stage, own.stage) for stage in scoring.values()):
            folder = folders[own.id]
            yield f"out-of-fold weights in '{folder}' come from another recipe than the weights of '{own.id}'"


def _candidates(chain: Chain, place: int, folder: str | None) -> list[BoundDetector]:
    own = chain.plan.detectors[place]
    if folder is None:
        return [own]
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        why = f"'{folder}' holds no out-of-fold weights for '{own.id}'"
        raise D2FError.of("D2F604", why, "`d2f train RECIPE -o FILE.safetensors` leaves them in FILE.run/folds")
    return [own, *(_with_weights(chain, place, file) for file in files)]


def _with_weights(chain: Chain, place: int, file: Path) -> BoundDetector:
    """Return a detector of the chain with other weights, loaded; nothing else of the chain is built."""
    use = chain.file.detectors[place]
    use = use.model_copy(update={"with_": {**use.with_, "weights": str(file)}})
    plan = build_plan(chain.file.model_copy(update={"views": {}, "detectors": [use]}), chain.catalog, decision=False)
    why = next(iter(load_stages(replace(plan, allow_missing=True)).values()), "")
    (detector,) = plan.detectors
    if why or not len(trained_on(detector.stage)):
        reason = why or "nothing says which images they were trained on"
        raise D2FError.of("D2F604", f"'{file}' cannot be out-of-fold weights of '{use.id}': {reason}")
    return detector


def _first_untrained_on(candidates: list[BoundDetector], found: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return which candidate scores each image, shape (n,); the first one where all of them saw it."""
    unseen = np.stack([~np.isin(found, trained_on(candidate.stage)) for candidate in candidates])
    first: NDArray[np.int64] = unseen.argmax(axis=0)
    return first


def _by_another_recipe(stage: Any, own: Any) -> bool:
    """Whether out-of-fold weights name another recipe than a stage's own; weights that both hold are left aside."""
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


def trained_on(stage: object) -> NDArray[np.uint64]:
    """Return the images that a stage states to be trained on: first 8 bytes of their digests, shape (m,)."""
    stated = getattr(stage, "trained_on", None)
    return np.asarray(() if stated is None else stated, dtype=np.uint64)


def prefixes(sha256: Iterable[str]) -> NDArray[np.uint64]:
    """Return the first 8 bytes of digests, big-endian, shape (n,), as weights files list them; 0 for an empty one."""
    return np.array([int(digest[:16] or "0", 16) for digest in sha256], dtype=np.uint64)


def seen_notes(chain: Chain, images: Dataset, sha256: Sequence[str], whole: str = "") -> Iterator[str]:
    """Yield a sentence for each way in which figures on these images are optimistic; the chain's stages are loaded.

    `whole` is the digest of the set that the images were taken from.
    """
    found = prefixes(sha256)
    for detector in chain.plan.detectors:
        known = np.isin(found, trained_on(detector.stage))
        if known.any():
            first = images[int(np.argmax(known))].path
            yield (
                f"{int(known.sum())} of {len(images)} images trained the weights of '{detector.id}' of chain "
                f"'{chain.name}', such as {first}: its figures are optimistic"
            )
    fitted = chain.file.fitted
    if fitted is None:
        return
    digests = dict(_digests(images, sha256))
    if whole:
        digests.setdefault(whole, "the set that these images were taken from")
    if fitted.data in digests:
        yield f"chain '{chain.name}' was fitted to {digests[fitted.data]}: its figures are optimistic"
    if fitted.thresholds is not None and fitted.thresholds.data in digests:
        what = digests[fitted.thresholds.data]
        yield f"the thresholds of chain '{chain.name}' were fitted to {what}: its rates are optimistic"


def _digests(images: Dataset, sha256: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the digests of the set and of the two parts of the project's split, with what they are."""
    from d2f.data.groups import shipped_split

    digest = {image.path: sha for image, sha in zip(images, sha256, strict=True)}
    split = shipped_split(images)
    parts = (("these images", images), ("some of these images", split.chains), ("some of these images", split.weights))
    for words, part in reversed(parts):
        if len(part):
            yield digest_of((digest[image.path], image.label) for image in part), words
