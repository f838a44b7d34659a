"""Out of fold for weights too: images that a detector's weights have seen are scored by weights that have not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from d2f.api.errors import D2FError
from d2f.api.weights import Weights
from d2f.chain.build import build_plan
from d2f.engine.loading import load_stages
from d2f.engine.plan import BoundDetector, Plan
from d2f.fitting.overlap import prefixes, seen
from d2f.weights import read_weights

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.data.dataset import Dataset


@dataclass(frozen=True)
class Dealt:
    """Images of a set and the plan that scores them.

    Parameters
    ----------
    plan : Plan
    numbers : tuple of int
        Places of the images in the set.
    """

    plan: Plan
    numbers: tuple[int, ...]


def deal(chain: Chain, images: Dataset, folders: Mapping[str, str]) -> tuple[Dealt, ...]:
    """Deal images to plans, each with the first weights of every detector that did not see the image.

    Parameters
    ----------
    chain : Chain
    images : Dataset
    folders : mapping of detector id to path
        Weights that `d2f train --keep-folds` left; tried after the chain's own, by name. An image that all of them
        saw stays with the chain's own.

    Returns
    -------
    tuple of Dealt
        Every image is in one of them.

    Raises
    ------
    D2FError
        D2F604 where a detector is not in the chain, or a folder holds no weights, or such as do not say what they
        were trained on; what building and loading a detector raises.
    """
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
    """Yield a sentence for each detector of which another recipe made the stand-ins than its own weights.

    Parameters
    ----------
    dealt : sequence of Dealt
    plan : Plan
        The chain's own.
    folders : mapping of detector id to path
        As `deal` takes them. Weights that say no recipe are not compared.
    """
    for place, own in enumerate(plan.detectors):
        scoring = {id(one.plan.detectors[place].stage): one.plan.detectors[place].stage for one in dealt}
        if any(_by_another_recipe(stage, own.stage) for stage in scoring.values()):
            yield f"stand-ins in '{folders[own.id]}' were made by another recipe than the weights of '{own.id}'"


def _candidates(chain: Chain, place: int, folder: str | None) -> list[BoundDetector]:
    own = chain.plan.detectors[place]
    if folder is None:
        return [own]
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        why = f"'{folder}' holds no weights to stand in for those of '{own.id}'"
        raise D2FError.of("D2F604", why, "`d2f train RECIPE --keep-folds DIR` leaves them")
    return [own, *(_with_weights(chain, place, file) for file in files)]


def _with_weights(chain: Chain, place: int, file: Path) -> BoundDetector:
    """Return a detector of the chain with other weights, loaded; nothing else of the chain is built."""
    use = chain.file.detectors[place]
    use = use.model_copy(update={"with_": {**use.with_, "weights": str(file)}})
    plan = build_plan(chain.file.model_copy(update={"views": {}, "detectors": [use]}), chain.catalog, decision=False)
    why = next(iter(load_stages(plan).values()), "")
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
