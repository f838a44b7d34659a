"""Plugins loaded one by one into a registry; what is wrong with one is recorded and never stops the others."""

from __future__ import annotations

import inspect
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import pluggy

from d2f.api import hooks
from d2f.api.errors import Problem, did_you_mean
from d2f.api.hooks import API_VERSION
from d2f.api.inputs import Weights
from d2f.plugins.entries import KINDS, Origin, found, noun
from d2f.plugins.errors import Fault, raised

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PREFIX = "d2f_"
HOOKS: dict[str, frozenset[str]] = {
    name: frozenset(inspect.signature(hook).parameters)
    for name, hook in vars(hooks).items()
    if name.startswith(PREFIX) and callable(hook)
}
"""Every hook's name, with the names of its parameters."""


class HookManager(pluggy.PluginManager):
    """Registers plugins; what is no hook of d2f is left out, and `refused` says why."""

    def __init__(self) -> None:
        super().__init__("d2f")
        self.add_hookspecs(hooks)
        self.refused: list[tuple[str, tuple[str, ...]]] = []

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """Return pluggy's options of one attribute of a plugin, None where it is not to be called."""
        attribute = getattr(plugin, name, None)
        if not inspect.isroutine(attribute):
            return None
        options = super().parse_hookimpl_opts(plugin, name)
        wrong = _wrong(name, attribute, options)
        if wrong is not None:
            self.refused.append(wrong)
            return None
        return options

    def add(self, plugin: object, origin: Origin) -> list[Fault]:
        """Register a plugin and return what was refused of it."""
        self.refused = []
        self.register(plugin, name=f"{origin.entry_point} ({origin.package})")
        return [
            Fault(Problem("D2F202", f"plugin '{origin.entry_point}': {message}", origin.place, notes=notes), origin)
            for message, notes in self.refused
        ]

    def call(self, plugin: object, hook: str, **arguments: object) -> list[Any]:
        """Call one plugin's implementation of a hook and return what it returned, in a list if it is not None."""
        others = [other for other in self.get_plugins() if other is not plugin]
        return list(self.subset_hook_caller(hook, others)(**arguments))

    def implemented(self, plugin: object) -> list[str]:
        """Return the names of the hooks that a plugin implements."""
        return sorted(caller.name for caller in self.get_hookcallers(plugin) or [])


def _wrong(name: str, function: Any, options: Any) -> tuple[str, tuple[str, ...]] | None:
    if options is None:
        return _unmarked(name) if name.startswith(PREFIX) else None
    hook = options.get("specname") or name
    if hook not in HOOKS:
        return f"there is no hook '{hook}'", did_you_mean(hook, HOOKS) or (f"hooks: {', '.join(HOOKS)}",)
    taken_up = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    needed = [one.name for one in parameters if one.default is one.empty and one.kind not in taken_up]
    surplus = [given for given in needed if given not in HOOKS[hook]]
    if surplus:
        takes = ", ".join(sorted(HOOKS[hook])) or "nothing"
        return f"hook '{hook}' has a parameter '{surplus[0]}', which it is not given", (f"{hook} takes {takes}",)
    return None


def _unmarked(name: str) -> tuple[str, tuple[str, ...]]:
    if name in HOOKS:
        return f"'{name}' is not marked as a hook", (f"write @d2f.hookimpl above `def {name}`",)
    near = did_you_mean(name, HOOKS)
    return f"'{name}' looks like a hook and is none", near or (
        f"names that begin with {PREFIX} are reserved for hooks",
    )


def outside(plugin: object, origin: Origin) -> Fault | None:
    """Return the fault of a plugin whose ``d2f_api`` does not hold this API's version, None where it does."""
    stated = getattr(plugin, "d2f_api", None)
    if stated is None:
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    name = f"plugin '{origin.entry_point}'"
    try:
        if SpecifierSet(stated).contains(API_VERSION):
            return None
    except (InvalidSpecifier, TypeError, AttributeError):
        message = f"{name} states d2f_api = {stated!r}, which is no range of versions"
        return _skipped(message, origin, "it is skipped; write it like d2f_api = '>=1,<2'")
    message = f"{name} was written for plugin API {stated}, not {API_VERSION}"
    return _skipped(
        message, origin, f"it is skipped; install a version of {origin.distribution} that was written for {API_VERSION}"
    )


def _skipped(message: str, origin: Origin, note: str) -> Fault:
    return Fault(Problem("D2F205", message, origin.place, notes=(note,), severity="warning"), origin)


NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def stage_faults(kind: str, stage: Any) -> tuple[str, ...]:
    """Return everything that keeps `stage` from being a stage of this kind; empty where it is one."""
    if not isinstance(stage, type):
        return (f"hooks return classes; this is an instance of {type(stage).__name__}",)
    return (*_identity(stage), *_methods(kind, stage), *_option_faults(stage), *_requires(stage))


def _identity(stage: type) -> list[str]:
    found = []
    name = getattr(stage, "name", None)
    if not isinstance(name, str):
        found.append("name: a string in kebab-case, what chain files call it")
    elif not NAME.fullmatch(name):
        found.append(f"name: '{name}' is not kebab-case (lower-case letters, digits and single hyphens)")
    summary = getattr(stage, "summary", None)
    if not isinstance(summary, str) or not summary.strip():
        found.append("summary: one line that says what it does")
    elif len(summary.splitlines()) > 1:
        found.append("summary: it has more than one line")
    return found


def _methods(kind: str, stage: type) -> list[str]:
    choices = KINDS[kind].methods
    missing = [[name for name in choice if not callable(getattr(stage, name, None))] for choice in choices]
    if not all(missing):
        return []
    # Of the sets that would do, complain of the one that the author seems to have meant.
    meant = min(missing, key=len)
    return [f"{name}(): a method of every {noun(kind)}" for name in meant]


def _option_faults(stage: type) -> list[str]:
    from pydantic import BaseModel

    options = getattr(stage, "Options", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        return ["Options: a pydantic model of its options, without fields where it has none"]
    config, found = options.model_config, []
    if not config.get("frozen"):
        found.append("Options: not frozen; write model_config = ConfigDict(extra='forbid', frozen=True)")
    if config.get("extra") != "forbid":
        found.append("Options: lets unknown options pass; write model_config = ConfigDict(extra='forbid', frozen=True)")
    bare = [name for name, field in options.model_fields.items() if not (field.description or "").strip()]
    return found + [f"Options.{name}: no description; write Field(description=…)" for name in bare]


def _requires(stage: type) -> list[str]:
    requires = getattr(stage, "requires", ())
    if not requires:
        return []
    if isinstance(requires, str) or not all(isinstance(one, str) for one in requires):
        return ["requires: a tuple of requirements such as ('torch>=2',)"]
    from packaging.requirements import InvalidRequirement, Requirement

    found = []
    for text in requires:
        try:
            Requirement(text)
        except InvalidRequirement:
            found.append(f"requires: '{text}' is not a requirement such as 'torch>=2'")
    return found


WEIGHTS = "weights"
"""What weights are called where stages have their kind."""


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """A stage class or a record of weights, and its plugin; `origin` is None where it was given in code."""

    item: Any
    origin: Origin | None


@dataclass(slots=True)
class Registry:
    """All stages and weights, by kind and name, and all that is wrong with plugins."""

    entries: dict[tuple[str, str], RegistryEntry] = field(default_factory=dict)
    observers: list[tuple[Origin | None, Callable[[Any], object]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notices: list[Problem] = field(default_factory=list)
    plugins: dict[Origin, list[str]] = field(default_factory=dict)
    left_out: list[Origin] = field(default_factory=list)

    def add_stage(self, kind: str, stage: Any, origin: Origin | None) -> None:
        """Add a stage, or the fault that excludes it."""
        wanting = stage_faults(kind, stage)
        if wanting:
            name = getattr(stage, "name", None)
            own = name if isinstance(name, str) and name else getattr(stage, "__qualname__", type(stage).__qualname__)
            message = f"{noun(kind)} '{own}' is refused: it is no {noun(kind)} yet"
            self.refuse(kind, stage, "D2F203", message, wanting, origin)
        else:
            self._add(kind, stage.name, stage, origin)

    def add_weights(self, record: Any, origin: Origin | None) -> None:
        """Add a record of weights, or the fault that excludes it."""
        if isinstance(record, Weights):
            self._add(WEIGHTS, record.name, record, origin)
        else:
            message = "weights are refused: not a record of d2f.Weights"
            self.refuse(WEIGHTS, record, "D2F203", message, (f"this is {record!r:.60}",), origin)

    def refuse(
        self, kind: str, item: Any, code: str, message: str, notes: tuple[str, ...], origin: Origin | None
    ) -> None:
        """Record that something offered was refused."""
        problem = Problem(code, message, origin.place if origin else None, notes=notes)
        name = getattr(item, "name", None)
        self.faults.append(Fault(problem, origin, kind, name if isinstance(name, str) else None))

    def _add(self, kind: str, name: str, item: Any, origin: Origin | None) -> None:
        holder = self.entries.setdefault((kind, name), RegistryEntry(item, origin))
        if holder.item is item:
            return
        keeper = f"{holder.origin.place.file}" if holder.origin else "given in code"
        notes = (f"taken by {keeper}", "rename one of them, or load one only, with D2F_PLUGINS")
        self.refuse(kind, item, "D2F204", f"{noun(kind)} '{name}' is refused: the name is taken", notes, origin)


def load_plugins(names: frozenset[str] | None) -> Registry:
    """Load every plugin that is allowed and return what they offer; nothing that a plugin does stops it."""
    registry, manager, pairs = Registry(), HookManager(), found()
    for origin, _ in pairs:
        if names is not None and not origin.built_in and origin.entry_point not in names:
            registry.left_out.append(origin)
    known = [origin.entry_point for origin, _ in pairs]
    for name in sorted(set(names or ()) - set(known)):
        message, notes = f"D2F_PLUGINS names '{name}', which is no plugin", did_you_mean(name, known)
        registry.notices.append(Problem("D2F208", message, notes=notes, severity="warning"))
    for origin, entry_point in pairs:
        if origin in registry.left_out:
            continue
        try:
            # What a module prints when it is imported would stand among a command's own output.
            with redirect_stdout(sys.stderr):
                _load_plugin(origin, entry_point, manager, registry)
        except (Exception, SystemExit) as error:
            registry.faults.append(raised("D2F201", f"plugin '{origin.entry_point}' failed to load", origin, error))
    return registry


def _load_plugin(origin: Origin, entry_point: EntryPoint, manager: HookManager, registry: Registry) -> None:
    plugin = entry_point.load()
    other_version = outside(plugin, origin)
    if other_version is not None:
        registry.faults.append(other_version)
    elif manager.is_registered(plugin):
        message = f"plugin '{origin.entry_point}' is refused: {manager.get_name(plugin)} is the same object"
        registry.faults.append(Fault(Problem("D2F204", message, origin.place), origin))
    else:
        registry.faults += manager.add(plugin, origin)
        registry.plugins[origin] = manager.implemented(plugin)
        _collect(plugin, origin, manager, registry)


def _collect(plugin: Any, origin: Origin, manager: HookManager, registry: Registry) -> None:
    for kind in KINDS.values():
        for stage in _hook_result(kind.hook, kind.name, plugin, origin, manager, registry):
            registry.add_stage(kind.name, stage, origin)
    for record in _hook_result("d2f_weights", WEIGHTS, plugin, origin, manager, registry):
        registry.add_weights(record, origin)
    if "d2f_stage_finished" in registry.plugins[origin]:
        registry.observers.append((origin, lambda event: manager.call(plugin, "d2f_stage_finished", event=event)))


def _hook_result(
    hook: str, kind: str, plugin: Any, origin: Origin, manager: HookManager, registry: Registry
) -> list[Any]:
    if hook not in registry.plugins[origin]:
        return []
    named = f"hook '{hook}' of plugin '{origin.entry_point}'"
    try:
        answers = manager.call(plugin, hook)
        if answers and isinstance(answers[0], Iterable) and not isinstance(answers[0], type | str):
            return list(answers[0])
    except (Exception, SystemExit) as error:
        registry.faults.append(raised("D2F207", f"{named} raised", origin, error, kind))
        return []
    got = f"{answers[0]!r:.60}" if answers else "None"
    notes = (f"it returned {got}", f"return a list, of every {kind} that the plugin offers")
    registry.refuse(kind, None, "D2F207", f"{named} did not return a list", notes, origin)
    return []


def unmet_requirements(requires: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return (requirement, what is there instead) for each of `requires` that is not satisfied."""
    if not requires:
        return ()
    from packaging.requirements import Requirement

    found = []
    for text in requires:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            found.append((text, "is not installed"))
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            found.append((text, f"is not satisfied by {requirement.name} {installed}"))
    return tuple(found)


def unmet(kind: str, name: str, origin: Origin | None, requires: Sequence[str]) -> Problem | None:
    """Return the problem that a stage's missing requirements are, with the command that installs them."""
    lacking = unmet_requirements(requires)
    if not lacking:
        return None
    facts = [f"'{text}' {fact}" for text, fact in lacking]
    install = "pip install " + " ".join(shlex.quote(text) for text, _ in lacking)
    message = f"{noun(kind)} '{name}' is not usable: it requires what is not installed"
    return Problem("D2F206", message, origin.place if origin else None, notes=(*facts, f"to install: {install}"))
