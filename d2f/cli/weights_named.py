"""Weights that a user names: one set, or a stage for all of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from d2f.api.weights import Weights


def named(names: Iterable[str], known: Sequence[Weights]) -> list[Weights]:
    """Return the records that names stand for, each once.

    Raises
    ------
    D2FError
        D2F501: a name stands for none.
    """
    return list(dict.fromkeys(record for name in names for record in _named(name, known)))


def _named(name: str, known: Sequence[Weights]) -> list[Weights]:
    from d2f.api.errors import D2FError
    from d2f.api.nearest import did_you_mean

    found = [record for record in known if name in (record.name, record.name.partition("/")[0])]
    if not found:
        notes = did_you_mean(name, [record.name for record in known])
        raise D2FError.of("D2F501", f"unknown weights '{name}'", *notes, "to see all: d2f weights list")
    return found
