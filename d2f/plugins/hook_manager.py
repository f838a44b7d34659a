"""pluggy's manager, made to refuse by name what only looks like a hook."""

from __future__ import annotations

import inspect
from typing import Any

import pluggy

from d2f.api import hooks
from d2f.api.errors import Problem
from d2f.api.nearest import did_you_mean
from d2f.plugins.entry_points import Origin
from d2f.plugins.faults import Fault

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
    surplus = [given for given in _needed(function) if given not in HOOKS[hook]]
    if surplus:
        takes = ", ".join(sorted(HOOKS[hook])) or "nothing"
        return f"hook '{hook}' is asked for '{surplus[0]}', which it is not given", (f"{hook} takes {takes}",)
    return None


def _unmarked(name: str) -> tuple[str, tuple[str, ...]]:
    if name in HOOKS:
        return f"'{name}' is not marked as a hook", (f"write @d2f.hookimpl above `def {name}`",)
    near = did_you_mean(name, HOOKS)
    return f"'{name}' looks like a hook and is none", near or (f"names that begin with {PREFIX} are kept for hooks",)


def _needed(function: Any) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    taken_up = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in parameters if one.default is one.empty and one.kind not in taken_up]
