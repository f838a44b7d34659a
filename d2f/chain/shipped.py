"""The chains that ship with d2f, by name."""

from __future__ import annotations

import os
from importlib.resources import files

from d2f.api.errors import D2FError

PACKAGE = "d2f_chains"
SUFFIX = ".yaml"


def shipped_names() -> tuple[str, ...]:
    """Return the names of the chains that ship with d2f, sorted."""
    folder = files(PACKAGE)
    return tuple(sorted(one.name.removesuffix(SUFFIX) for one in folder.iterdir() if one.name.endswith(SUFFIX)))


def shipped_text(name: str) -> str:
    """Return the text of a shipped chain; D2F130 where there is none of this name."""
    from d2f.api.nearest import did_you_mean
    from d2f.chain.source import ORDER

    names = shipped_names()
    if name in names:
        return (files(PACKAGE) / f"{name}{SUFFIX}").read_text("utf-8")
    listed = f"shipped chains: {', '.join(names)}" if names else "no chain ships with this d2f"
    note = ORDER if os.path.isdir(name) else f"a chain of your own is named by its file: {name}{SUFFIX}"
    raise D2FError.of("D2F130", f"unknown chain '{name}'", *did_you_mean(name, names), listed, note)
