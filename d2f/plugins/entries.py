"""Entry points found in the metadata of what is installed, each with the distribution that it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from d2f.api.errors import Place
from d2f.api.hooks import GROUP

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of stage: its hook, the code of an unknown name, and the sets of methods that make one."""

    name: str
    hook: str
    unknown: str
    methods: tuple[tuple[str, ...], ...]

    @property
    def plural(self) -> str:
        """The kind's name in a heading."""
        return f"{noun(self.name)}s"

    def counted(self, number: int) -> str:
        """Return ``1 evidence reader`` or ``2 detectors``."""
        return f"{number} {noun(self.name) if number == 1 else self.plural}"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("detector", "d2f_detectors", "D2F110", (("score",),)),
        Kind("preprocessor", "d2f_preprocessors", "D2F111", (("apply",),)),
        Kind("precondition", "d2f_preconditions", "D2F115", (("check",),)),
        Kind("evidence", "d2f_evidence", "D2F116", (("read",),)),
        Kind("calibrator", "d2f_calibrators", "D2F112", (("probability", "fit"),)),
        Kind("combiner", "d2f_combiners", "D2F113", (("combine", "fit"),)),
        Kind("trainable", "d2f_trainables", "D2F607", (("features", "fit", "predict"), ("build",))),
    )
}
"""Every kind by its name, in the order in which they are listed."""


def noun(kind: str) -> str:
    """Return what messages call a stage of a kind."""
    return "evidence reader" if kind == "evidence" else kind


def kind_of(stage: type) -> str | None:
    """Return the name of the kind whose first method `stage` has, None where it has none."""
    for kind in KINDS.values():
        if any(callable(getattr(stage, methods[0], None)) for methods in kind.methods):
            return kind.name
    return None


OURS = "d2f"
"""The distribution whose entry points are built in: always loaded, always first."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The plugin that something comes from."""

    entry_point: str
    value: str
    distribution: str
    version: str

    @property
    def built_in(self) -> bool:
        """Whether it came with d2f."""
        return normal(self.distribution) == OURS

    @property
    def module(self) -> str:
        """The top-level module that the entry point points at."""
        return self.value.partition(":")[0].strip().partition(".")[0]

    @property
    def package(self) -> str:
        """Distribution and version."""
        return f"{self.distribution} {self.version}"

    @property
    def place(self) -> Place:
        """Where a problem with it is."""
        return Place(f"entry point  {self.entry_point} = {self.value}  ({self.package})")

    def answers_to(self, name: str) -> bool:
        """Whether `name` is the entry point's or the distribution's, with or without ``d2f-`` in front."""
        names = {normal(self.entry_point), normal(self.distribution)}
        return normal(name) in names | {known.removeprefix("d2f-") for known in names}


def normal(name: str) -> str:
    """Return a distribution's name as package indices compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def found(group: str = GROUP) -> list[tuple[Origin, EntryPoint]]:
    """Return the entry points of a group: built-in ones first, then by distribution and name.

    The order decides which of two plugins keeps a name that both offer, so it depends on nothing else.
    """
    from importlib.metadata import entry_points

    name_and_version = cache(_name_and_version)  # each parses all of a distribution's metadata
    pairs = [
        (Origin(entry_point.name, entry_point.value, *name_and_version(entry_point.dist)), entry_point)
        for entry_point in entry_points(group=group)
    ]
    return sorted(pairs, key=lambda pair: (not pair[0].built_in, normal(pair[0].distribution), pair[0].entry_point))


def _name_and_version(distribution: Distribution | None) -> tuple[str, str]:
    if distribution is None:
        return "unknown", "?"
    metadata = distribution.metadata
    return metadata["Name"], metadata["Version"]


@cache
def plugin_packages() -> frozenset[str]:
    """Return the top-level packages of all plugins that are installed."""
    return frozenset(origin.module for origin, _ in found())


def allowed(setting: str | None) -> frozenset[str] | None:
    """Return the entry-point names in ``D2F_PLUGINS``, None where it is not set and all are allowed."""
    if setting is None:
        return None
    return frozenset(name.strip() for name in setting.split(",") if name.strip())
