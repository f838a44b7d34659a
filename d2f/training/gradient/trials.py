"""Which runs a study is made of: folds, values of keys, or the recipe with one thing taken away."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from d2f.api.errors import D2FError
from d2f.engine.spec_value import read_value, write_value
from d2f.plugins.build import build, read_options
from d2f.plugins.catalog import Catalog
from d2f.plugins.validation import findings
from d2f.training.gradient.recipe import NetworkRecipe

RANGE = ".."


@dataclass(frozen=True)
class Trial:
    """A run of a study.

    Parameters
    ----------
    name : str
        What the table calls it.
    recipe : NetworkRecipe
    values : dict of str
        What differs from the recipe, for the table.
    fold : (int, int), optional
        Which fold validates, and how many there are.
    """

    name: str
    recipe: NetworkRecipe
    values: dict[str, Any] = field(default_factory=dict)
    fold: tuple[int, int] | None = None


def fold_trials(recipe: NetworkRecipe, folds: int) -> list[Trial]:
    """Return a trial for each fold."""
    return [Trial(f"fold {one + 1} of {folds}", recipe, {"fold": one + 1}, (one, folds)) for one in range(folds)]


def grid_trials(recipe: NetworkRecipe, catalog: Catalog, sets: Sequence[str]) -> list[Trial]:
    """Return a trial for each combination of the values that ``KEY=V1,V2`` list.

    Raises
    ------
    D2FError
        D2F001: a text that is no such list. D2F606 or D2F114: a key or a value that the recipe cannot have.
    """
    keys = dict(_key_and_values(text) for text in sets)
    for key, values in keys.items():
        if any(isinstance(value, str) and RANGE in value for value in values):
            raise D2FError.of("D2F001", f"'{key}' has a range, from which only a random search draws", "add --random N")
    combinations = itertools.product(*keys.values())
    return [_changed(recipe, catalog, dict(zip(keys, values, strict=True))) for values in combinations]


def random_trials(
    recipe: NetworkRecipe, catalog: Catalog, sets: Sequence[str], count: int, seed: int = 0
) -> list[Trial]:
    """Return `count` trials drawn from lists (``KEY=V1,V2``) and ranges (``KEY=LOW..HIGH``), each seeded by its number.

    Whole numbers are drawn evenly, others evenly in their logarithm where both bounds are above 0.

    Raises
    ------
    D2FError
        As `grid_trials` does.
    """
    keys = dict(_key_and_values(text) for text in sets)
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


def _key_and_values(text: str) -> tuple[str, list[Any]]:
    key, equals, values = text.partition("=")
    if not key or not equals or not values:
        raise D2FError.of(
            "D2F001", f"'{text}' is not understood", "write KEY=VALUE,VALUE, such as optimiser.rate=0.1,0.01"
        )
    try:
        return key, [read_value(value) for value in values.split(",")]
    except ValueError as error:
        raise D2FError.of("D2F001", f"'{text}' is not understood: {error}") from error


def _drawn(values: list[Any], random: np.random.Generator) -> Any:
    drawn = values[int(random.integers(len(values)))]
    if not isinstance(drawn, str) or RANGE not in drawn:
        return drawn
    low, high = (read_value(bound) for bound in drawn.split(RANGE, 1))
    if isinstance(low, int) and isinstance(high, int):
        return int(random.integers(low, high, endpoint=True))
    if low > 0 and high > 0:
        return float(f"{math.exp(random.uniform(math.log(low), math.log(high))):.4g}")
    return float(f"{random.uniform(low, high):.4g}")


def _changed(recipe: NetworkRecipe, catalog: Catalog, changes: dict[str, Any]) -> Trial:
    plain = recipe.model_dump(mode="json", by_alias=True)
    for key, value in changes.items():
        *above, last = key.split(".")
        place: Any = plain
        try:
            for part in above:
                place = place[int(part)] if isinstance(place, list) else place[part]
            place[int(last) if isinstance(place, list) else last] = value
        except (KeyError, IndexError, TypeError, ValueError):
            raise D2FError.of("D2F606", f"the recipe has no key '{key}'") from None
    wrong = list(findings(NetworkRecipe, plain))
    if wrong:
        raise D2FError(list(_problems(wrong)))
    made = NetworkRecipe.model_validate(plain)
    read_options("trainable", catalog.find("trainable", made.train), made.with_)
    return Trial(", ".join(f"{key}={write_value(value)}" for key, value in changes.items()), made, changes)


def _problems(wrong: list[Any]) -> Iterator[Any]:
    from d2f.api.errors import Problem

    for finding in wrong:
        said = f"unknown key '{finding.name}'" if finding.sort == "unknown" else f"{finding.name} {finding.message}"
        yield Problem("D2F606", said, notes=finding.notes)
