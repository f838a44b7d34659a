"""The name of a new plugin, in the four ways in which it is written, and whether it is free."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec

from d2f.api.errors import D2FError
from d2f.plugins.catalog import Catalog
from d2f.plugins.entry_points import found, normal
from d2f.plugins.kinds import KINDS
from d2f.plugins.stage_check import NAME

PREFIX = "d2f-"
LONGEST = 40
"""In characters; a chain's identifiers may have 64, and views are put after them."""


@dataclass(frozen=True, slots=True)
class Names:
    """A plugin's name.

    Parameters
    ----------
    stage : str
        What chain files call its stage: ``noise-level``. So is its entry point called.
    """

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
    """Return a new plugin's names.

    Parameters
    ----------
    name : str
        The stage's name, in kebab-case, a letter first.
    catalog : Catalog
        Of what is installed.

    Raises
    ------
    D2FError
        D2F211: not such a name, or taken, with its owner.
    """
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
        raise _taken(name, f"there is a module {names.module}", _distribution(names.module))
    return names


def _need_shape(name: str) -> None:
    if NAME.fullmatch(name) and name[0].isalpha() and len(name) <= LONGEST and not name.startswith(PREFIX):
        return
    rule = f"a name is lower-case letters, digits and hyphens, a letter first, at most {LONGEST}: noise-level"
    notes = [f"did you mean '{suggestion}'?"] if (suggestion := _mended(name)) else []
    if name.startswith(PREFIX):
        notes.append(f"the distribution is called {PREFIX}NAME by itself")
    raise D2FError.of("D2F211", f"'{name}' cannot be a plugin's name", *notes, rule)


def _mended(name: str) -> str:
    """Return the name that was probably meant, empty where there is none."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
    mended = re.sub(r"[^a-z0-9]+", "-", parts).strip("-").removeprefix(PREFIX)[:LONGEST].strip("-")
    return mended if mended and mended != name and mended[0].isalpha() else ""


def _taken(name: str, what: str, owner: str) -> D2FError:
    return D2FError.of("D2F211", f"the name '{name}' is taken: {what} ({owner})", "choose another name")


def _distribution(module: str) -> str:
    from importlib.metadata import packages_distributions

    return next(iter(packages_distributions().get(module, [])), "no distribution")
