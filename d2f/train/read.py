"""A recipe file read strictly: every problem at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError, Place, Problem
from d2f.chain.yaml import ORDER, Key, Source, parse, read_text
from d2f.engine.spec import parse_spec
from d2f.plugins.build import Finding, build, findings
from d2f.plugins.catalog import Catalog
from d2f.train.network_recipe import NetworkRecipe
from d2f.train.operations import check as check_augmentations
from d2f.train.recipe import Recipe

CODE = "D2F606"
BEGIN = "a recipe begins with the lines `d2f: 1` and `train: NAME`, the name as `d2f plugin list` shows it"
OF_THE_FILE = ("D2F102", "D2F107", "D2F108")
"""Problems of a file that is read as chain files are."""


def read_recipe(path: str | Path, catalog: Catalog) -> Recipe | NetworkRecipe:
    """Read a recipe and see that every stage it names can be built.

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
    found = list(findings(model, source.data))
    problems += [_problem(source, finding) for finding in found]
    if problems:
        raise D2FError(problems + _trainable_problems(source, catalog))
    recipe = model.model_validate(source.data)
    wrong = [problem for part in _stages(recipe) for problem in _build_problems(source, catalog, *part)]
    if isinstance(recipe, NetworkRecipe):
        wrong += _augment_problems(source, catalog, recipe)
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


def _model(source: Source, catalog: Catalog) -> type[Recipe] | type[NetworkRecipe]:
    data = source.data
    name = data.get("train") if isinstance(data, dict) else None
    if not isinstance(name, str):
        return Recipe
    try:
        stage = catalog.find("trainable", name)
    except D2FError as error:
        raise D2FError([_placed(source, problem, (), "train") for problem in error.problems], error.exit) from error
    return NetworkRecipe if callable(getattr(stage, "build", None)) else Recipe


def _trainable_problems(source: Source, catalog: Catalog) -> list[Problem]:
    """Return what is wrong with the trainable's own options in a recipe that is wrong elsewhere too."""
    data = source.data
    name, options = (data.get("train"), data.get("with", {})) if isinstance(data, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(options, dict):
        return []
    return _build_problems(source, catalog, "trainable", name, options, (), "train")


def _augment_problems(source: Source, catalog: Catalog, recipe: NetworkRecipe) -> list[Problem]:
    wrong = check_augmentations(recipe.augment, catalog)
    problems = [_placed(source, problem, path, "use") for path, error in wrong for problem in error.problems]
    for i, attack in enumerate(recipe.measure):
        try:
            parse_spec(attack, catalog, f"measure[{i}]")
        except D2FError as error:
            problems += [replace(problem, place=source.value(("measure", i))) for problem in error.problems]
    return problems


def _problem(source: Source, finding: Finding) -> Problem:
    if finding.sort == "unknown":
        return Problem(CODE, f"unknown key '{finding.path[-1]}'", source.key(finding.path), notes=finding.notes)
    if finding.sort == "missing":
        place = source.value(finding.path) if len(finding.path) > 1 else Place(source.text.file)
        notes = (finding.description,) if finding.description else ()
        return Problem(CODE, f"the key '{finding.path[-1]}' is missing", place, notes=notes)
    return Problem(CODE, f"{finding.name} {finding.message}", source.value(finding.path), notes=finding.notes)


def _stages(recipe: Recipe | NetworkRecipe) -> Iterator[tuple[str, str, dict[str, Any], tuple[Key, ...], str]]:
    """Yield kind, name, options, path and the name's key of every stage that a recipe names."""
    yield "trainable", recipe.train, recipe.with_, (), "train"
    if isinstance(recipe, NetworkRecipe):
        return
    for i, augmentation in enumerate(recipe.augment):
        for j, step in enumerate(augmentation.steps):
            yield "preprocessor", step.use, step.with_, ("augment", i, "steps", j), "use"
    for i, step in enumerate(recipe.measure):
        yield "preprocessor", step.use, step.with_, ("measure", i), "use"


def _build_problems(
    source: Source, catalog: Catalog, kind: str, name: str, options: dict[str, Any], path: tuple[Key, ...], key: str
) -> list[Problem]:
    try:
        build(catalog, kind, name, options)
    except D2FError as error:
        # A wrong option stands under `with`, a wrong name at its own key.
        return [_placed(source, problem, path, key) for problem in error.problems]
    return []


def _placed(source: Source, problem: Problem, path: tuple[Key, ...], key: str) -> Problem:
    if problem.place is not None:
        return problem
    below = (*path, "with") if problem.code == "D2F114" and (*path, "with") in source.values else (*path, key)
    return replace(problem, place=source.value(below))
