"""A new distribution written to disk; nothing that is there is touched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

from d2f.api.errors import D2FError
from d2f.plugins.catalog import Catalog
from d2f.plugins.entries import KINDS, found, normal
from d2f.plugins.registry import NAME

PREFIX = "d2f-"
LONGEST = 40
"""In characters; a chain's identifiers may have 64, and views are put after them."""


@dataclass(frozen=True, slots=True)
class Names:
    """A plugin's name."""

    stage: str

    @property
    def distribution(self) -> str:
        """What pip calls it: ``d2f-noise-level``."""
        return f"{PREFIX}{self.stage}"

    @property
    def module(self) -> str:
        """What Python calls it: ``d2f_noise_level``."""
        return self.distribution.replace("-", "_")

    @property
    def stage_class(self) -> str:
        """The stage's class: ``NoiseLevel``."""
        return "".join(part.capitalize() for part in self.stage.split("-"))


def read_name(name: str, catalog: Catalog) -> Names:
    """Return a new plugin's names."""
    _need_shape(name)
    names = Names(name)
    for kind in KINDS:
        if name in catalog.names(kind):
            owner = catalog.owner(kind, name)
            raise _taken(name, f"there is a {kind} '{name}'", owner.package if owner else "this program")
    for origin, _ in found():
        if origin.entry_point == name or normal(origin.distribution) == names.distribution:
            raise _taken(name, f"there is a plugin '{origin.entry_point}'", origin.package)
    if find_spec(names.module) is not None:
        from importlib.metadata import packages_distributions

        owners = packages_distributions().get(names.module, [])
        raise _taken(name, f"there is a module {names.module}", next(iter(owners), "no distribution"))
    return names


def _need_shape(name: str) -> None:
    if NAME.fullmatch(name) and name[0].isalpha() and len(name) <= LONGEST and not name.startswith(PREFIX):
        return
    rule = f"a name is lower-case letters, digits and hyphens, a letter first, at most {LONGEST}: noise-level"
    notes = [f"did you mean '{suggestion}'?"] if (suggestion := _suggested(name)) else []
    if name.startswith(PREFIX):
        notes.append(f"the distribution is called {PREFIX}NAME by itself")
    raise D2FError.of("D2F211", f"'{name}' cannot be a plugin's name", *notes, rule)


def _suggested(name: str) -> str:
    """Return the name that was probably meant, empty where there is none."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
    mended = re.sub(r"[^a-z0-9]+", "-", parts).strip("-").removeprefix(PREFIX)[:LONGEST].strip("-")
    return mended if mended and mended != name and mended[0].isalpha() else ""


def _taken(name: str, what: str, owner: str) -> D2FError:
    return D2FError.of("D2F211", f"the name '{name}' is taken: {what} ({owner})", "choose another name")


SUFFIX = ".template"
"""Ends the name of every template that is text, so that no tool takes it for code of d2f's own."""

DOT = "dot_"
"""Begins the name of what is hidden in a new distribution, which tools that build packages would leave out."""

COMMON = "common"
"""The folder of what all kinds share."""


def filled(kinds: tuple[str, ...], names: Names) -> dict[str, bytes]:
    """Return the files of a new distribution: by path, with ``/``, their content."""
    found: dict[str, bytes] = {}
    for kind in (COMMON, *kinds):
        for path, file in _walk(files("d2f.scaffold") / "templates" / kind):
            data = file.read_bytes()
            if path.endswith(SUFFIX):
                data = _with_names(data.decode("utf-8"), names).encode("utf-8")
            parts = _with_names(path.removesuffix(SUFFIX), names).split("/")
            found["/".join(re.sub(f"^{DOT}", ".", part) for part in parts)] = data
    return dict(sorted(found.items()))


def _with_names(text: str, names: Names) -> str:
    module = names.module.removeprefix("d2f_")
    return text.replace("my-stage", names.stage).replace("my_stage", module).replace("MyStage", names.stage_class)


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _walk(entry, f"{path}/")
        else:
            yield path, entry


SCAFFOLDS = ("detector", "preprocessor", "precondition", "evidence", "combiner", "calibrator")
"""Kinds of stage that there is a template for."""

LEARNED = "learned"


def new_plugin(names: Names, kind: str, learned: bool, into: Path) -> tuple[Path, tuple[str, ...]]:
    """Write a small, complete distribution."""
    if learned and kind != "detector":
        raise D2FError.of("D2F001", f"--learned is for detectors, not for a {kind}", "leave one of them out")
    folder = into / names.distribution
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise D2FError.of("D2F004", f"'{folder}' already exists", "nothing was written; --into DIR names another place")
    made = filled((LEARNED,) if learned else (kind,), names)
    try:
        for path, data in made.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                file.write(data)
    except OSError as error:
        raise D2FError.of("D2F004", f"'{folder}' cannot be written: {error.strerror}") from error
    return folder, tuple(made)
