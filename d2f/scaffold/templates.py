"""The templates: whole distributions of a plugin called `my-stage`, which the new one's name takes the place of."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from d2f.scaffold.names import Names

SUFFIX = ".template"
"""Ends the name of every template that is text, so that no tool takes it for code of d2f's own."""

DOT = "dot_"
"""Begins the name of what is hidden in a new distribution, which tools that build packages would leave out."""

COMMON = "common"
"""The folder of what all kinds share."""


def filled(kinds: tuple[str, ...], names: Names) -> dict[str, bytes]:
    """Return the files of a new distribution: by path, with ``/``, their content.

    Parameters
    ----------
    kinds : tuple of str
        Folders of templates; a later one's file takes the place of an earlier one's.
    names : Names
        What takes the place of ``my-stage``, ``my_stage`` and ``MyStage``.
    """
    found: dict[str, bytes] = {}
    for kind in (COMMON, *kinds):
        for path, file in _walk(files("d2f.scaffold") / "templates" / kind):
            data = file.read_bytes()
            if path.endswith(SUFFIX):
                data = _named(data.decode("utf-8"), names).encode("utf-8")
            found[_target(path, names)] = data
    return dict(sorted(found.items()))


def _target(path: str, names: Names) -> str:
    parts = _named(path.removesuffix(SUFFIX), names).split("/")
    return "/".join(f".{part.removeprefix(DOT)}" if part.startswith(DOT) else part for part in parts)


def _named(text: str, names: Names) -> str:
    module = names.module.removeprefix("d2f_")
    return text.replace("my-stage", names.stage).replace("my_stage", module).replace("MyStage", names.stage_class)


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _walk(entry, f"{path}/")
        else:
            yield path, entry
