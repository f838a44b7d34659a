"""The catalog: every stage, set of weights and observer that plugins offer, looked up by name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from d2f.api.errors import D2FError, Exit, Place, Problem, did_you_mean
from d2f.api.inputs import Weights
from d2f.api.outcomes import StageFinished
from d2f.plugins.entries import KINDS, Origin, allowed, kind_of, noun, plugin_packages
from d2f.plugins.errors import Fault, raised
from d2f.plugins.registry import WEIGHTS, Registry, load_plugins, unmet

if TYPE_CHECKING:
    from d2f.api.inputs import Weights


def lookup_error(registry: Registry, kind: str, name: str, place: Place | None) -> D2FError:
    """Return the error of a stage that the registry does not hold, with what may be the cause."""
    causes = [fault for fault in registry.faults if fault.explains(kind, name)]
    if causes:
        return D2FError([_unusable(fault, kind, name, place) for fault in causes], Exit.PLUGIN)
    others = [other for other in KINDS if other != kind and (other, name) in registry.entries]
    notes = tuple(f"there is {'an' if other[0] in 'aeiou' else 'a'} {noun(other)} '{name}'" for other in others)
    notes = notes or did_you_mean(name, sorted(name for known, name in registry.entries if known == kind))
    problem = Problem(
        KINDS[kind].unknown,
        f"unknown {noun(kind)} '{name}'",
        place,
        label="no loaded plugin provides it",
        notes=(*notes, *_suspects(registry, kind, name)),
    )
    return D2FError(problem, Exit.USAGE)


def _unusable(fault: Fault, kind: str, name: str, place: Place | None) -> Problem:
    problem, asked = fault.problem, f"{noun(kind)} '{name}'"
    message = problem.message if problem.message.startswith(asked) else f"{asked} is not usable: {problem.message}"
    notes = problem.notes
    if place is not None:
        line = f":{place.line}:{place.column}" if place.line else ""
        notes = (f"asked for in {place.file}{line}" + (f" at {place.path}" if place.path else ""), *notes)
    return replace(problem, message=message, notes=notes, severity="error")


def _suspects(registry: Registry, kind: str, name: str) -> tuple[str, ...]:
    """Return notes on plugins that might have offered it, had they been loaded."""
    left_out = [origin for origin in registry.left_out if origin.answers_to(name)]
    notes = [f"plugin '{one.entry_point}' ({one.package}) is left out by D2F_PLUGINS" for one in left_out]
    whole = {fault.origin: fault for fault in registry.faults if fault.stage is None and fault.kind in (None, kind)}
    notes += [
        f"plugin '{origin.entry_point}' ({origin.package}) is broken and might: d2f plugin check {origin.entry_point}"
        for origin in whole
        if origin is not None
    ]
    return tuple(notes)


CODE = (".py", ".so", ".pyd")
IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+(\w[\w., \t]*)", re.MULTILINE)


def code_digest(stage: object) -> str | None:
    """Return a sha256 over the code of the top-level package that a stage, its class or a function comes from.

    The code of other plugins' packages that it imports, anywhere, is covered too: what is computed depends on it.
    """
    return _package_digest(stage.__module__.partition(".")[0])


@cache
def _package_digest(package: str) -> str | None:
    lines: dict[str, list[str]] = {}
    waiting = {package}
    while waiting:
        name = waiting.pop()
        prefix, lines[name] = "" if name == package else f"{name}/", []
        for inside, path in sorted(_code_files(name)):
            code = path.read_bytes()
            lines[name].append(f"{prefix}{inside} {hashlib.sha256(code).hexdigest()}\n")
            if path.suffix == ".py":
                waiting |= _imported(code) & plugin_packages()
        waiting -= lines.keys()
    if not lines[package]:
        return None
    text = "".join(line for name in (package, *sorted(lines.keys() - {package})) for line in lines[name])
    return hashlib.sha256(text.encode()).hexdigest()


def _imported(code: bytes) -> set[str]:
    """Return the top-level packages that a module's import statements name, wherever they stand in it.

    >>> sorted(_imported(b"import json, numpy.linalg as la\\ndef f():\\n    from d2f_towers.shared import KEPT"))
    ['d2f_towers', 'json', 'numpy']
    """
    found = IMPORT.findall(code.decode("utf-8", "replace"))
    return {each.split()[0].partition(".")[0] for line in found for each in line.split(",") if each.strip()}


def _code_files(package: str) -> Iterator[tuple[str, Path]]:
    """Yield the package's files of code, each with its path inside the package; it need not be imported yet."""
    module = sys.modules.get(package)
    if module is not None:
        folders, file = list(getattr(module, "__path__", ())), getattr(module, "__file__", None)
    else:
        spec = find_spec(package)
        folders, file = (list(spec.submodule_search_locations or ()), spec.origin) if spec else ([], None)
    for folder in map(Path, folders):
        yield from ((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.suffix in CODE)
    alone = Path(file or "")
    if not folders and alone.is_file():
        yield alone.name, alone


def canonical(value: Any) -> str:
    """Return plain data as JSON with sorted keys, no blanks, and one spelling of each number.

    >>> canonical({"b": 1.0, "a": [True, 0.5]})
    '{"a":[true,0.5],"b":1}'
    """
    return json.dumps(_one_spelling(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _one_spelling(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _one_spelling(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_one_spelling(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def stage_facts(use: str, options: Mapping[str, Any], weights: Sequence[Weights] = ()) -> dict[str, Any]:
    """Return what identifies a stage: its name, its options with their defaults, the digests of its weights."""
    facts: dict[str, Any] = {"use": use, "with": dict(options)}
    if weights:
        facts["weights"] = sorted(record.sha256 for record in weights)
    return facts


ALLOW_LIST = "D2F_PLUGINS"
"""Environment variable: names of the entry points that are loaded besides the built-in ones."""


class Catalog:
    """Every stage, set of weights and observer that plugins offer, by name; `registry` holds what is wrong with which.

    Made by `discover` from what is installed, or by `of` from classes at hand.
    """

    _of_this_process: ClassVar[Catalog | None] = None

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._observers = tuple(registry.observers)

    @classmethod
    def discover(cls) -> Catalog:
        """Return the catalog of what is installed; plugins are loaded once in a process.

        ``D2F_PLUGINS=a,b`` in the environment loads the entry points `a` and `b` and the built-in ones only.
        What is wrong with a plugin is in `problems` and is raised by `find` where that plugin is wanted.
        """
        if Catalog._of_this_process is None:
            Catalog._of_this_process = cls(load_plugins(allowed(os.environ.get(ALLOW_LIST))))
        return Catalog._of_this_process

    @classmethod
    def discovered(cls) -> Catalog | None:
        """Return what `discover` has found in this process, None before it was called."""
        return Catalog._of_this_process

    @classmethod
    def of(
        cls,
        *stages: type,
        weights: Iterable[Weights] = (),
        observers: Iterable[Callable[[StageFinished], object]] = (),
        built_in: bool = False,
    ) -> Catalog:
        """Return a catalog of these stage classes, and of the built-in ones if asked for; no other is looked for."""
        registry = load_plugins(frozenset()) if built_in else Registry()
        registry.observers += [(None, observer) for observer in observers]
        known = len(registry.faults)
        for stage in stages:
            registry.add_stage(kind_of(stage) or "detector", stage, None)
        for record in weights:
            registry.add_weights(record, None)
        if len(registry.faults) > known:
            raise D2FError([fault.problem for fault in registry.faults[known:]], Exit.PLUGIN)
        return cls(registry)

    def find(self, kind: str, name: str, place: Place | None = None) -> Any:
        """Return the stage class of this kind and name."""
        entry = self.registry.entries.get((kind, name))
        if entry is None:
            raise lookup_error(self.registry, kind, name, place)
        problem = unmet(kind, name, entry.origin, self.requires(kind, name))
        if problem is not None:
            raise D2FError(problem, Exit.PLUGIN)
        return entry.item

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of all stages of a kind, sorted."""
        return tuple(sorted(name for known, name in self.registry.entries if known == kind))

    def stages(self, kind: str) -> tuple[Any, ...]:
        """Return all stage classes of a kind, by name, whether or not what they require is installed."""
        return tuple(self.registry.entries[kind, name].item for name in self.names(kind))

    def owner(self, kind: str, name: str) -> Origin | None:
        """Return the plugin of a stage (or ``weights``); None where it was given in code or does not exist."""
        entry = self.registry.entries.get((kind, name))
        return entry.origin if entry else None

    def requires(self, kind: str, name: str) -> tuple[str, ...]:
        """Return the requirements that a stage states."""
        entry = self.registry.entries.get((kind, name))
        return tuple(getattr(entry.item, "requires", ()) or ()) if entry else ()

    @property
    def weights(self) -> tuple[Weights, ...]:
        """Every record of weights, by name."""
        return tuple(self.registry.entries[WEIGHTS, name].item for name in self.names(WEIGHTS))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with what is installed."""
        return (*self.registry.notices, *(fault.problem for fault in self.registry.faults))

    def notify(self, event: StageFinished) -> None:
        """Notify every observer; one that raises is not notified again, and one warning is logged."""
        for pair in self._observers:
            origin, observer = pair
            try:
                observer(event)
            except (Exception, SystemExit) as error:
                self._observers = tuple(other for other in self._observers if other is not pair)
                import logging

                giver = origin or Origin("in code", "Catalog.of", "this program", "")
                message = f"the observer of plugin '{giver.entry_point}' raised and is not notified again"
                problem = replace(raised("D2F207", message, giver, error).problem, severity="warning")
                logging.getLogger("d2f").warning("%s", problem)
