"""A catalog for tests: the built-in stages and those given, whatever else is installed."""

from __future__ import annotations

from collections.abc import Iterable

from d2f.api.errors import D2FError, Exit
from d2f.api.weights import Weights
from d2f.plugins.catalog import Catalog
from d2f.plugins.gathering import gather
from d2f.plugins.kinds import kind_of


def catalog_of(*stages: type, weights: Iterable[Weights] = ()) -> Catalog:
    """Return a catalog of the built-in stages and of these; no other plugin is looked for.

    Parameters
    ----------
    *stages : type
        Stage classes; they need not be installed.
    weights : iterable of Weights
        Records besides those of the built-in stages.

    Raises
    ------
    D2FError
        D2F203 where a class is no stage, D2F204 where its name is taken; all of them at once.

    Examples
    --------
    >>> "wiener" in catalog_of().names("preprocessor")
    True
    """
    shelf = gather(frozenset())
    known = len(shelf.faults)
    for stage in stages:
        shelf.put_stage(kind_of(stage) or "detector", stage, None)
    for record in weights:
        shelf.put_weights(record, None)
    if len(shelf.faults) > known:
        raise D2FError([fault.problem for fault in shelf.faults[known:]], Exit.PLUGIN)
    return Catalog(shelf)
