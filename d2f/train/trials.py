"""The values that a sweep gives a key: ``KEY=V1,V2``, and ``KEY=LOW..HIGH`` for a random search."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from d2f.api.errors import D2FError, Place, Problem
from d2f.engine.spec import parse_spec, parts, read_value, write_value
from d2f.plugins.build import Finding, build, findings, read_options, spelled
from d2f.plugins.catalog import Catalog
from d2f.train.network_recipe import NetworkRecipe
from d2f.train.operations import check as check_augmentations

RANGE = re.compile(r"([^/\\\"'\[\]{}]+?)\.\.([^/\\\"'\[\]{}]+)")
"""A range; a path with ``..`` in it, or a text in quotes, is none."""

MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, which are whole where both bounds are."""

    low: int | float
    high: int | float

    def draw(self, random: np.random.Generator) -> int | float:
        """Return a number: whole ones evenly, others evenly in their logarithm where both bounds are above 0."""
        low, high = self.low, self.high
        if isinstance(low, int) and isinstance(high, int):
            return int(random.integers(low, high, endpoint=True))
        if low > 0 and high > 0:
            return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.4g}")
        return float(f"{random.uniform(low, high):.4g}")


def read_set(text: str) -> tuple[str, list[Any]]:
    """Return the key and its values, a `Range` among them for each ``LOW..HIGH``; commas in brackets part nothing.

    Examples
    --------
    >>> read_set("copies.qualities=[70,98],[80,90]")
    ('copies.qualities', [[70, 98], [80, 90]])
    >>> read_set("optimiser.rate=0.1,1e-4..1e-2")
    ('optimiser.rate', [0.1, Range(low=0.0001, high=0.01)])
    """
    key, equals, values = text.partition("=")
    if not key or not equals or not values:
        raise D2FError.of(
            "D2F001", f"'{text}' is not understood", "write KEY=VALUE,VALUE, such as optimiser.rate=0.1,0.01"
        )
    try:
        return key, [_value(values[first:last].strip()) for first, last in parts(values, ",")]
    except ValueError as error:
        raise D2FError.of("D2F001", f"'{text}' is not understood: {error}") from error


def _value(text: str) -> Any:
    found = RANGE.fullmatch(text)
    return _range(text, *map(read_value, found.groups())) if found else read_value(text)


def _range(text: str, low: Any, high: Any) -> Range:
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not abs(bound) <= MOST:
            raise ValueError(f"the range '{text}' is not of two numbers")
    if low > high:
        raise ValueError(f"the range '{text}' begins above its end")
    return Range(low, high)


OPTIONAL = ("start",)
"""Parts of a recipe that need not be there, and come about where one of their keys is set."""


@dataclass(frozen=True)
class Trial:
    """A run of a study."""

    name: str
    recipe: NetworkRecipe
    values: dict[str, Any] = field(default_factory=dict)
    fold: tuple[int, int] | None = None


def fold_trials(recipe: NetworkRecipe, folds: int) -> list[Trial]:
    """Return a trial for each fold."""
    return [Trial(f"fold {one + 1} of {folds}", recipe, {"fold": one + 1}, (one, folds)) for one in range(folds)]


def grid_trials(recipe: NetworkRecipe, catalog: Catalog, sets: Sequence[str]) -> list[Trial]:
    """Return a trial for each combination of the values that ``KEY=V1,V2`` list."""
    keys = dict(read_set(text) for text in sets)
    for key, values in keys.items():
        if any(isinstance(value, Range) for value in values):
            raise D2FError.of("D2F001", f"'{key}' has a range, from which only a random search draws", "add --random N")
    combinations = itertools.product(*keys.values())
    return [_changed(recipe, catalog, dict(zip(keys, values, strict=True))) for values in combinations]


def random_trials(
    recipe: NetworkRecipe, catalog: Catalog, sets: Sequence[str], count: int, seed: int = 0
) -> list[Trial]:
    """Return `count` trials from lists (``KEY=V1,V2``) and ranges (``KEY=LOW..HIGH``), each seeded by its number."""
    keys = dict(read_set(text) for text in sets)
    trials: dict[str, Trial] = {}
    for number in range(count):
        random = np.random.default_rng((seed, number))
        trial = _changed(recipe, catalog, {key: _drawn(values, random) for key, values in keys.items()})
        trials.setdefault(trial.name, trial)
    return list(trials.values())


def ablation_trials(recipe: NetworkRecipe, catalog: Catalog) -> list[Trial]:
    """Return the recipe as it is, and with one thing at a time taken away.

    Taken away are each augmentation, all of them, the balancing, and what the trainable names in ``ablations()``, or
    else its option `residual`.
    """
    trials = [Trial("as it is", recipe)]
    for name, options in _simpler(recipe, catalog).items():
        trials.append(Trial(name, recipe.changed({"with": options}), {"with": options}))
    plain = recipe.model_dump(mode="json", by_alias=True)["augment"]
    for i, augmentation in enumerate(recipe.augment):
        named = " or ".join(dict.fromkeys(choice.use for choice in augmentation.choices))
        rest = plain[:i] + plain[i + 1 :]
        trials.append(Trial(f"without {named} ({i + 1})", recipe.changed({"augment": rest}), {"augment": i}))
    if len(plain) > 1:
        trials.append(Trial("without augmentation", recipe.changed({"augment": []}), {"augment": "none"}))
    if recipe.balance.by != "none" or recipe.balance.sources < 1.0:
        changes = {"balance.by": "none", "balance.sources": 1.0}
        trials.append(Trial("without balancing", recipe.changed(changes), changes))
    return trials


def _simpler(recipe: NetworkRecipe, catalog: Catalog) -> Mapping[str, dict[str, Any]]:
    """Return a trainable's own simpler kin: name to options."""
    trainable = build(catalog, "trainable", recipe.train, recipe.with_)
    named = getattr(trainable, "ablations", None)
    if callable(named):
        simpler: Mapping[str, dict[str, Any]] = named()
        return simpler
    options = read_options("trainable", type(trainable), recipe.with_)
    if getattr(options, "residual", False) is True:
        return {"without residual connections": {**recipe.with_, "residual": False}}
    return {}


def _drawn(values: list[Any], random: np.random.Generator) -> Any:
    drawn = values[int(random.integers(len(values)))]
    return drawn.draw(random) if isinstance(drawn, Range) else drawn


def _changed(recipe: NetworkRecipe, catalog: Catalog, changes: dict[str, Any]) -> Trial:
    plain = recipe.model_dump(mode="json", by_alias=True)
    for key, value in changes.items():
        *above, last = key.split(".")
        place: Any = plain
        try:
            for depth, part in enumerate(above):
                if depth == 0 and place[part] is None and part in OPTIONAL:
                    place[part] = {}
                place = place[int(part)] if isinstance(place, list) else place[part]
            place[int(last) if isinstance(place, list) else last] = value
        except (KeyError, IndexError, TypeError, ValueError):
            raise D2FError.of("D2F606", f"the recipe has no key '{key}'") from None
    wrong = list(findings(NetworkRecipe, plain))
    if wrong:
        raise D2FError(list(_problems(wrong)))
    made = NetworkRecipe.model_validate(plain)
    read_options("trainable", catalog.find("trainable", made.train), made.with_)
    # Before any trial: what a stage's name or options lack would be told when the first one has read its images.
    if unbuilt := [*_unbuilt(made, catalog, changes)]:
        raise D2FError(unbuilt)
    return Trial(", ".join(f"{key}={write_value(value)}" for key, value in changes.items()), made, changes)


def _unbuilt(recipe: NetworkRecipe, catalog: Catalog, changes: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with the stages that a changed recipe names, where the change may have done it."""
    changed = {key.partition(".")[0] for key in changes}
    for path, error in check_augmentations(recipe.augment, catalog) if "augment" in changed else ():
        for problem in error.problems:
            yield replace(problem, place=Place("--set", path=spelled(path)))
    for i, attack in enumerate(recipe.measure if "measure" in changed else ()):
        try:
            parse_spec(attack, catalog, f"measure[{i}]")
        except D2FError as error:
            yield from error.problems


def _problems(wrong: Sequence[Finding]) -> Iterator[Problem]:
    for finding in wrong:
        said = {
            "unknown": f"unknown key '{finding.name}'",
            "missing": f"the key '{finding.name}' is missing",
            "value": f"{finding.name} {finding.message}",
        }
        yield Problem("D2F606", said[finding.sort], notes=finding.notes)
