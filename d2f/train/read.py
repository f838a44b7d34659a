"""A recipe file read strictly: every problem at once, each with its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError, Problem
from d2f.chain.yaml import ORDER, ChainSource, Key, parse, read_text
from d2f.plugins.build import build, option_findings, spelled
from d2f.plugins.catalog import Catalog
from d2f.train.augment import augmentation_errors, loaded_steps
from d2f.train.recipe import EstimatorRecipe, NetworkRecipe

CODE = "D2F606"
BEGIN = "a recipe begins with the lines `d2f: 1` and `train: NAME`, the name as `d2f plugin list` shows it"
OF_THE_FILE = ("D2F102", "D2F107", "D2F108")
"""Problems of a file that is read as chain files are."""


def read_recipe(path: str | Path, catalog: Catalog) -> EstimatorRecipe | NetworkRecipe:
    """Read a recipe and see that every stage it names can be built and loaded.

    The trainable that it names says which keys there are: those of a network where it has a `build`.
    """
    try:
        source, problems = parse(read_text(path))
    except D2FError as error:
        raise D2FError([_of_a_recipe(problem, path) for problem in error.problems], error.exit) from error
    problems = [_of_a_recipe(problem, path) for problem in problems]
    if source is None:
        raise D2FError(problems)
    model = _model(source, catalog)
    found = list(option_findings(model, source.data))
    problems += [source.problem(finding, unknown=CODE, missing=CODE, value=CODE) for finding in found]
    if problems:
        raise D2FError(problems + _trainable_problems(source, catalog))
    recipe = model.model_validate(source.data)
    wrong = _build_problems(source, catalog, recipe.train, recipe.with_) + _augment_problems(source, catalog, recipe)
    for i, attack in enumerate(recipe.measure):
        wrong += _spec_problems(source, catalog, attack, ("measure", i))
    if wrong:
        raise D2FError(wrong)
    return recipe


def _of_a_recipe(problem: Problem, path: str | Path) -> Problem:
    """Return what is said of a chain file, which is read alike, as it is said of a recipe."""
    if problem.code not in OF_THE_FILE:
        return problem
    before, name, after = problem.message.partition(f"'{path}'")
    before, after = (part.replace("chain file", "recipe").replace("no chain", "no recipe") for part in (before, after))
    notes = (BEGIN,) if problem.code == "D2F107" else tuple(note for note in problem.notes if note != ORDER)
    notes = tuple(note.replace("one chain", "one recipe") for note in notes)
    return replace(problem, message=f"{before}{name}{after}", notes=notes)


def _model(source: ChainSource, catalog: Catalog) -> type[EstimatorRecipe] | type[NetworkRecipe]:
    data = source.data
    name = data.get("train") if isinstance(data, dict) else None
    if not isinstance(name, str):
        return EstimatorRecipe
    try:
        stage = catalog.find("trainable", name)
    except D2FError as error:
        raise D2FError([_placed(source, problem, (), "train") for problem in error.problems], error.exit) from error
    return NetworkRecipe if callable(getattr(stage, "build", None)) else EstimatorRecipe


def _trainable_problems(source: ChainSource, catalog: Catalog) -> list[Problem]:
    """Return what is wrong with the trainable's own options in a recipe that is wrong elsewhere too."""
    data = source.data
    name, options = (data.get("train"), data.get("with", {})) if isinstance(data, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(options, dict):
        return []
    return _build_problems(source, catalog, name, options)


def _augment_problems(source: ChainSource, catalog: Catalog, recipe: EstimatorRecipe | NetworkRecipe) -> list[Problem]:
    if isinstance(recipe, NetworkRecipe):
        wrong = augmentation_errors(recipe.augment, catalog)
        return [_placed(source, problem, path, "use") for path, error in wrong for problem in error.problems]
    return [
        problem
        for i, variant in enumerate(recipe.augment)
        if variant.steps
        for problem in _spec_problems(source, catalog, variant.steps, ("augment", i, "steps"))
    ]


def _spec_problems(source: ChainSource, catalog: Catalog, spec: str, path: tuple[Key, ...]) -> list[Problem]:
    """Return what is wrong with a SPEC, its stages built and loaded; the place is the SPEC's in the recipe."""
    try:
        loaded_steps(spec, catalog, spelled(path))
    except D2FError as error:
        return [replace(problem, place=source.value(path)) for problem in error.problems]
    return []


def _build_problems(source: ChainSource, catalog: Catalog, name: str, options: dict[str, Any]) -> list[Problem]:
    try:
        build(catalog, "trainable", name, options)
    except D2FError as error:
        # A wrong option stands under `with`, a wrong name at its own key.
        return [_placed(source, problem, (), "train") for problem in error.problems]
    return []


def _placed(source: ChainSource, problem: Problem, path: tuple[Key, ...], key: str) -> Problem:
    if problem.place is not None:
        return problem
    below = (*path, "with") if problem.code == "D2F114" and (*path, "with") in source.values else (*path, key)
    return replace(problem, place=source.value(below))
