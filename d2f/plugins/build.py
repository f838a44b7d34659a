"""A stage built from its name and its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import Input
from d2f.plugins.catalog import Catalog
from d2f.plugins.faults import blame
from d2f.plugins.validation import findings, option_problem

if TYPE_CHECKING:
    from pydantic import BaseModel


def read_options(kind: str, stage: Any, options: Mapping[str, Any]) -> BaseModel:
    """Return `options` as an instance of the stage's own model.

    Raises
    ------
    D2FError
        D2F114, a problem for each option that is wrong.
    """
    wrong = findings(stage.Options, options)
    if wrong:
        raise D2FError([option_problem(kind, stage.name, finding) for finding in wrong])
    checked: BaseModel = stage.Options.model_validate(options)
    return checked


def build(catalog: Catalog, kind: str, name: str, options: Mapping[str, Any], **more: Any) -> Any:
    """Build a stage.

    Parameters
    ----------
    catalog : Catalog
        Where `name` is looked up.
    kind, name : str
        Such as ``"preprocessor"``, ``"wiener"``.
    options : mapping
        Plain data, validated by the stage's own model.
    **more
        Further arguments of the stage's constructor: a combiner's `cells`.

    Raises
    ------
    D2FError
        What `Catalog.find` and `read_options` raise; D2F209 (exit code 3) where the constructor raised,
        D2F203 where it left a detector without `wants`.
    """
    stage = catalog.find(kind, name)
    checked = read_options(kind, stage, options)
    try:
        built = stage(checked, **more)
    except D2FError:
        raise
    except (Exception, SystemExit) as error:
        raise _not_constructed(catalog, kind, name, stage, error) from error
    if kind == "detector" and not isinstance(getattr(built, "wants", None), Input):
        raise _says_not_what_it_wants(catalog, name)
    return built


def _not_constructed(catalog: Catalog, kind: str, name: str, stage: type, error: BaseException) -> D2FError:
    owner = catalog.owner(kind, name)
    note = blame(error, stage.__module__.partition(".")[0])
    place = owner.place if owner else None
    return D2FError(Problem("D2F209", f"{kind} '{name}' could not be constructed", place, notes=(note,)), Exit.PLUGIN)


def _says_not_what_it_wants(catalog: Catalog, name: str) -> D2FError:
    owner = catalog.owner("detector", name)
    message = f"detector '{name}' is not usable: it has no `wants`, which says what `score` is given"
    note = "set it to d2f.WholeImage(), d2f.Tiles(…) or d2f.FileBytes(), on the class or in __init__"
    return D2FError(Problem("D2F203", message, owner.place if owner else None, notes=(note,)), Exit.PLUGIN)
