"""A chain file checked in one pass: every problem at once, each stage constructed once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from d2f.api.errors import D2FError, Exit, Place, Problem, did_you_mean
from d2f.api.inputs import FileBytes
from d2f.chain.build import COMBINE, Unfitted, Unusable, assemble, placeholder
from d2f.chain.model import FORMAT_VERSION, IDENTIFIER, SHAPE, ChainFile, Combine, VerdictRule
from d2f.chain.yaml import ChainSource, KeyPath, Text, parse
from d2f.engine.plan import PLAIN, Plan
from d2f.plugins.build import Built, OptionErrors, OptionFinding, construct, explain, option_problem, without_echoes
from d2f.plugins.catalog import Catalog
from d2f.plugins.entries import KINDS
from d2f.plugins.errors import spelled_value

WRITTEN = ("calibrate", "fitted")
"""Keys that a fit writes whole."""

ASKED = "asked for"
"""How the note begins that says where a stage is named whose plugin is broken."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check: the file and its plan, None where there are errors, and every problem."""

    file: ChainFile | None
    plan: Plan | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep the chain from running."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def exit(self) -> Exit:
        """The exit code of a command that needs the chain."""
        if any(problem.code.startswith("D2F2") for problem in self.errors):
            return Exit.PLUGIN
        return Exit.USAGE if self.errors else Exit.OK


def check_text(text: Text, catalog: Catalog, *, refit: bool = False, allow_missing: bool = False) -> Checked:
    """Check a chain file and make its plan.

    `refit`: what an earlier fit wrote is ignored, and the plan holds no decision. `allow_missing`: a stage whose
    requirements are not installed is no error; it cannot be loaded.
    """
    source, refused = parse(text)
    if source is None:
        return Checked(None, None, _in_file_order(refused, []))
    source = source.without(*WRITTEN) if refit else source
    wrong_version = _check_version(source)
    if wrong_version is not None:
        return Checked(None, None, _in_file_order([*refused, wrong_version], []))
    check = _Check(source, catalog, allow_missing)
    file = check.run(refit)
    found = _in_file_order([*refused, *_check_numbers(source)], check.problems)
    if file is None or any(problem.severity == "error" for problem in found):
        return Checked(None, None, found)
    plan = assemble(file, lambda _, path, __: check.built[path], decision=not refit)
    return Checked(file, plan, found)


def _in_file_order(refused: Sequence[Problem], problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Return all problems by line; of a token that was refused outright nothing more is said."""
    silenced = {_line_and_column(problem) for problem in refused if problem.code != "D2F101"}
    kept = [
        problem for problem in problems if _line_and_column(problem) not in silenced or not _line_and_column(problem)[0]
    ]
    return tuple(sorted(dict.fromkeys([*refused, *kept]), key=_line_and_column))


def _line_and_column(problem: Problem) -> tuple[int, int]:
    place = problem.place or Place("")
    return place.line, place.column


def _check_version(source: ChainSource) -> Problem | None:
    """Return what is wrong with the format version; nothing else is checked before it is right."""
    if "d2f" not in source.data:
        note = f"write `d2f: {FORMAT_VERSION}` in the first line"
        return Problem("D2F103", "the format version is missing", Place(source.text.file), notes=(note,))
    version, place = source.data["d2f"], source.value(("d2f",))
    if type(version) is not int or version < 1:
        note = f"write `d2f: {FORMAT_VERSION}`: the version of the format, not of the program"
        return Problem("D2F103", f"{spelled_value(version)} is no format version", place, notes=(note,))
    if version == FORMAT_VERSION:
        return None
    message = f"format version {version} is newer than what this d2f reads, which is {FORMAT_VERSION}"
    note, writer = "to upgrade: pip install --upgrade d2f", _dict(source.data.get("fitted")).get("d2f")
    if isinstance(writer, str) and writer[:1].isdigit():
        note = f"it was written by d2f {writer}: pip install 'd2f>={writer}'"
    return Problem("D2F103", message, place, notes=(note,))


def _check_numbers(source: ChainSource) -> Iterator[Problem]:
    """Yield the numbers that are not finite; of them nothing else need be said."""
    for path, value in source.leaves():
        if isinstance(value, float) and not math.isfinite(value):
            place = source.value(path)
            written = place.source[place.column - 1 :][: min(place.width, 40)]
            yield Problem("D2F106", f"{place.path} must be a finite number, not {written}", place)


Part = tuple[str, KeyPath, Any]
"""A stage as it is written: its kind, its path and its value, which may be anything."""


class _Check:
    """Checks the parts of a file that exist, whatever else is wrong with it."""

    def __init__(self, source: ChainSource, catalog: Catalog, allow_missing: bool) -> None:
        self.source, self.catalog, self.allow_missing = source, catalog, allow_missing
        self.problems: list[Problem] = []
        self.built: dict[KeyPath, Built] = {}
        self.detectors = _list(source.data.get("detectors"))
        self.views = list(_dict(source.data.get("views")))
        self.members = [f"{name}/{view}" for one in self.detectors if (name := _id(one)) for view in _views_of(one)]
        self.complete = bool(self.detectors) and all(map(_is_complete, self.detectors))

    def run(self, refit: bool) -> ChainFile | None:
        """Check everything; return the file where its keys and types are right."""
        for part in _stages_written(self.source.data):
            self._construct(*part)
        combiner = True
        if self.complete:
            combiner = self._combiner()
        file = self._structure()
        self._view_names()
        self._detector_views()
        self._ids()
        self._thresholds()
        if self.complete:
            self._members_used(refit)
        if refit:
            # Weights of members that are gone are about to be replaced.
            self.problems = [problem for problem in self.problems if problem.code not in ("D2F122", "D2F127")]
        elif not any(problem.severity == "error" for problem in self.problems):
            self._fit(combiner)
        return file

    def _add(self, code: str, message: str, place: Place, *notes: str, label: str = "", warning: bool = False) -> None:
        severity = "warning" if warning else "error"
        self.problems.append(Problem(code, message, place, label, notes, severity))

    def _construct(self, kind: str, path: KeyPath, use: Any, **more: Any) -> bool:
        """Construct a stage, or note why it cannot be; return whether it waits for nothing but a fit."""
        default = Combine().use if kind == "combiner" else None
        name = use.get("use", default) if isinstance(use, dict) else None
        options = use.get("with", {}) if isinstance(use, dict) else None
        options = {} if options is None else options
        if not isinstance(name, str):
            return True
        place = self.source.value((*path, "use"))
        try:
            if not isinstance(options, dict):
                self.catalog.find(kind, name, place)
                return True
            self.built[path] = construct(self.catalog, kind, name, options, place, **more)
        except OptionErrors as error:
            self.problems += [self._option_problem(kind, name, path, finding) for finding in error.findings]
        except D2FError as error:
            codes = {problem.code for problem in error.problems}
            if codes == {"D2F127"}:
                self.built[path] = placeholder(kind, name, options, Unfitted())
                return False
            if self.allow_missing and codes == {"D2F206"}:
                self.built[path] = placeholder(kind, name, options, Unusable(name, error.problems[0]))
            else:
                self.problems += [self._placed(problem, kind, path) for problem in error.problems]
        return True

    def _combiner(self) -> bool:
        """Construct the combiner for the members; return whether it is fitted.

        Keys with a slash in its options name members, and have to be members.
        """
        use = self.source.data.get("combine", {})
        tables = _dict(_dict(use).get("with")).items()
        named = [(option, key) for option, table in tables for key in _dict(table) if "/" in key]
        strange = [(option, key) for option, key in named if key not in self.members]
        for option, key in strange:
            place = self.source.key((*COMBINE, "with", option, key))
            self._add("D2F122", f"unknown member '{key}'", place, f"members: {', '.join(self.members)}")
        return bool(strange) or self._construct("combiner", COMBINE, use, members=tuple(self.members))

    def _option_problem(self, kind: str, name: str, path: KeyPath, finding: OptionFinding) -> Problem:
        at = (*path, "with", *finding.path)
        place = self.source.key(at) if finding.sort == "unknown" else self.source.value(at)
        problem = replace(option_problem(kind, name, finding), place=place)
        if finding.sort == "unknown" and not finding.choices:
            return replace(problem, notes=(f"'{name}' has no options",))
        return problem

    def _placed(self, problem: Problem, kind: str, path: KeyPath) -> Problem:
        """Return a problem at the place where its stage is named; one of a plugin keeps its own and notes the other."""
        at = (*path, "with", "weights") if problem.code.startswith("D2F5") else (*path, "use")
        place = self.source.value(at if at in self.source.values else (*path, "use"))
        if problem.code == KINDS[kind].unknown and not problem.notes:
            problem = replace(problem, notes=("to see what there is: d2f plugin list",))
        if problem.place is None:
            return replace(problem, place=place)
        if problem.place.file == place.file or any(note.startswith(ASKED) for note in problem.notes):
            return problem
        asked = f"{ASKED} in {place.file}:{place.line}:{place.column} at {place.path}"
        return replace(problem, notes=(asked, *problem.notes))

    def _structure(self) -> ChainFile | None:
        data = self.source.data
        try:
            return ChainFile.model_validate(data)
        except ValidationError as error:
            found = without_echoes(explain(error.errors(include_url=False), ChainFile, data))
        for finding in found:
            message = finding.message.replace(f"text that matches ^{IDENTIFIER.pattern}$", f"text: {SHAPE}")
            plainer = replace(finding, message=message)
            self.problems.append(self.source.problem(plainer, unknown="D2F104", missing="D2F105", value="D2F106"))
        return None

    def _view_names(self) -> None:
        for name in self.views:
            place = self.source.key(("views", name))
            if name == PLAIN:
                message = f"'{PLAIN}' is the image itself and cannot be redefined"
                self._add("D2F106", message, place, "give the view another name")
            elif not IDENTIFIER.fullmatch(name):
                self._add("D2F106", f"the name of a view must be {SHAPE}, not {spelled_value(name)}", place)

    def _detector_views(self) -> None:
        known = [PLAIN, *self.views]
        for index, detector in enumerate(self.detectors):
            seen: set[str] = set()
            built = self.built.get(("detectors", index))
            reads_bytes = isinstance(getattr(built.stage if built else None, "wants", None), FileBytes)
            listed = detector.get("views") if isinstance(detector, dict) else None
            for number, view in enumerate(_list(listed)):
                if not isinstance(view, str):
                    continue
                place = self.source.value(("detectors", index, "views", number))
                if view not in known and IDENTIFIER.fullmatch(view):
                    notes = did_you_mean(view, known) or (f"views: {', '.join(known)}",)
                    self._add("D2F120", f"unknown view '{view}'", place, *notes, label="not defined under `views`")
                elif view in seen:
                    self._add("D2F106", f"the view '{view}' stands twice", place, "keep one")
                if reads_bytes and view != PLAIN:
                    message = f"detector '{detector['use']}' reads the file's bytes and cannot look at '{view}'"
                    self._add("D2F123", message, place, f"leave out `views`, or write [{PLAIN}]")
                seen.add(view)

    def _ids(self) -> None:
        first: dict[str, Place] = {}
        for index, detector in enumerate(self.detectors):
            name = _id(detector)
            if name is None:
                continue
            place = self.source.value(("detectors", index, "id" if "id" in detector else "use"))
            if name in first:
                notes = (f"first in line {first[name].line}", "give one of them another `id`")
                self._add("D2F121", f"two detectors have the id '{name}'", place, *notes)
            first.setdefault(name, place)

    def _thresholds(self) -> None:
        verdict = _dict(self.source.data.get("verdict"))
        names = ("real_below", "generated_above")
        given = {name: verdict[name] for name in names if type(verdict.get(name)) in (int, float)}
        below, above = (given.get(name, VerdictRule.model_fields[name].default) for name in names)
        if given and below > above:
            message = f"the thresholds cross: real_below is {below:g}, generated_above is {above:g}"
            note = "a probability between them would be both; let real_below be the smaller"
            self._add("D2F124", message, self.source.value(("verdict", next(iter(given)))), note)
        never = [word for word, at_end in (("real", below == 0), ("generated", above == 1)) if at_end]
        if given and never:
            which = "no verdict but inconclusive" if len(never) == 2 else f"no verdict {never[0]}"
            message = f"the chain can give {which}: its thresholds are {below:g} and {above:g}"
            note = "fitted to too few images for the errors asked for? fit it to more, or allow more errors"
            self._add("D2F124", message, self.source.value(("verdict", next(iter(given)))), note, warning=True)

    def _members_used(self, refit: bool) -> None:
        """Hold `need`, the views and the calibrated members to those that there are."""
        need = _dict(self.source.data.get("combine")).get("need")
        if isinstance(need, int) and need > len(self.members):
            message = f"`need` asks for {need} members, and the chain has {len(self.members)}"
            self._add("D2F125", message, self.source.value((*COMBINE, "need")), "every verdict would be inconclusive")
        used = {view for detector in self.detectors for view in _views_of(detector)}
        for view in self.views:
            if view not in used and view != PLAIN:
                note = "name it in a detector's `views`, or leave it out"
                place = self.source.key(("views", view))
                self._add("D2F126", f"no detector looks at the view '{view}'", place, note, warning=True)
        for member in () if refit else _dict(self.source.data.get("calibrate")):
            if member not in self.members:
                notes = did_you_mean(member, self.members) or (f"members: {', '.join(self.members)}",)
                place = self.source.key(("calibrate", member))
                label = "no detector looks at this view"
                self._add("D2F122", f"unknown member '{member}'", place, *notes, label=label)

    def _fit(self, combiner: bool) -> None:
        """Warn where a part of the fit is missing, and refuse weights other than those of the fit."""
        calibrated = _dict(self.source.data.get("calibrate"))
        bare = [member for member in self.members if member not in calibrated]
        file = self.source.text.file
        message, place, effect = "", Place(file), "it prints scores, and every verdict is inconclusive"
        if calibrated and bare:
            message, place = "the chain is fitted in part", self.source.key(("calibrate",))
            effect = f"no calibration for {', '.join(bare)}"
        elif bare:
            message = "the chain is not fitted"
        elif not combiner:
            message, place = "the combiner is not fitted", self.source.value((*COMBINE, "use"))
            effect = "every verdict is inconclusive"
        if message:
            step = f"to fit it: d2f chain fit {file} --data DIR -o FITTED.yaml"
            self._add("D2F127", message, place, effect, step, warning=True)
        self._fitted_weights()

    def _fitted_weights(self) -> None:
        now = {one.name: one.sha256 for built in self.built.values() for one in getattr(built.stage, "weights", ())}
        pinned = _dict(_dict(self.source.data.get("fitted")).get("weights"))
        incomplete = any(isinstance(built.stage, Unusable) for built in self.built.values())
        for name, sha256 in pinned.items():
            used = now.get(name)
            if used == sha256 or (used is None and incomplete):
                continue
            in_use = f"in use: sha256 {used[:12]}…" if used else f"in use: {', '.join(sorted(now)) or 'no weights'}"
            step = f"to fit it with the weights in use: d2f chain fit {self.source.text.file} --data DIR -o FITTED.yaml"
            place = self.source.value(("fitted", "weights", name))
            self._add("D2F506", f"the chain was fitted with other weights '{name}'", place, in_use, step)


def _stages_written(data: Mapping[str, Any]) -> Iterator[Part]:
    """Yield every stage as it is written, but the combiner, which is constructed for the members."""
    for name, steps in _dict(data.get("views")).items():
        yield from (("preprocessor", ("views", name, place), step) for place, step in enumerate(_list(steps)))
    for key, kind in (("require", "precondition"), ("evidence", "evidence"), ("detectors", "detector")):
        yield from ((kind, (key, place), use) for place, use in enumerate(_list(data.get(key))))
    for place, use in enumerate(_list(_dict(data.get("verdict")).get("stability"))):
        yield "preprocessor", ("verdict", "stability", place), use
    for member, use in _dict(data.get("calibrate")).items():
        yield "calibrator", ("calibrate", member), use
    above = _dict(data.get("combine")).get("calibrate")
    if above is not None:
        yield "calibrator", (*COMBINE, "calibrate"), above


def _id(detector: Any) -> str | None:
    name = _dict(detector).get("id", _dict(detector).get("use"))
    return name if isinstance(name, str) else None


def _views_of(detector: Any) -> list[str]:
    return [view for view in _list(_dict(detector).get("views", [PLAIN])) if isinstance(view, str)]


def _is_complete(detector: Any) -> bool:
    """Whether a detector's members are all known."""
    listed = _list(_dict(detector).get("views", [PLAIN]))
    return _id(detector) is not None and 0 < len(listed) == len(_views_of(detector))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
