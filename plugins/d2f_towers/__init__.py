"""Image towers of other people's, one of which ships: their architectures and where their weights are."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Weights, hookimpl


@hookimpl
def d2f_weights() -> Sequence[Weights]:
    """Return the records of the towers' weights."""
    from d2f_towers.records import RECORDS

    return RECORDS
