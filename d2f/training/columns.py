"""Columns that a recipe names: one that no image has would be empty in all of them, and chosen or passed by unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from d2f.api.errors import D2FError, Problem
from d2f.data.columns import columns_of
from d2f.data.dataset import Dataset
from d2f.training.recipe import Having, Recipe

if TYPE_CHECKING:
    from d2f.training.gradient.recipe import NetworkRecipe


def need_columns(recipe: Recipe | NetworkRecipe, dataset: Dataset) -> None:
    """Refuse a recipe that chooses images by a column that the set does not have.

    Parameters
    ----------
    recipe : Recipe or NetworkRecipe
    dataset : Dataset
        All images, before any are left out.

    Raises
    ------
    D2FError
        D2F606 for each such entry of `data.leave_out`, `copies.measured_only` and `emphasis`.
    """
    columns = columns_of(dataset)
    notes = (f"there are {', '.join(columns)}",)
    problems = [
        Problem("D2F606", f"`{place}[{number}]` names a column that no image has: '{each.column}'", notes=notes)
        for place, listed in _named(recipe)
        for number, each in enumerate(listed)
        if each.column not in columns
    ]
    if problems:
        raise D2FError(problems)


def _named(recipe: Recipe | NetworkRecipe) -> Iterator[tuple[str, Sequence[Having]]]:
    yield "data.leave_out", recipe.data.leave_out
    if isinstance(recipe, Recipe):
        yield "copies.measured_only", recipe.copies.measured_only
        yield "emphasis", recipe.emphasis
