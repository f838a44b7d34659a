"""Keys, types and ranges: what the models of the chain file say of the data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from d2f.api.errors import D2FError, Exit, Place, Problem, did_you_mean
from d2f.api.inputs import FileBytes
from d2f.chain.model import FORMAT_VERSION, IDENTIFIER, SHAPE, ChainFile, Combine, VerdictRule
from d2f.chain.outline import DetectorPart, Outline, StagePart, outline
from d2f.chain.yaml import Pairs, Scalar, Source, Text, parse, walk
from d2f.engine.plan import PLAIN
from d2f.plugins.build import Finding, build, findings, option_problem
from d2f.plugins.catalog import Catalog
from d2f.plugins.entries import KINDS
from d2f.plugins.errors import shown

WRITTEN = ("calibrate", "fitted")
"""Keys that a fit writes whole."""


def without_fit(source: Source) -> Source:
    """Return a file as if it had never been fitted."""
    kept = {key: pair for key, pair in source.root.pairs.items() if key not in WRITTEN}
    return Source(source.text, Pairs(source.root.span, kept, source.root.bare))


def check_fit(source: Source, outline: Outline, weights: Mapping[str, str], combiner: bool) -> Iterator[Problem]:
    """Yield a warning where a part of the fit is missing, and an error for each weights file that is another one."""
    bare = [member for member in outline.members if member not in outline.calibrate]
    if bare or not combiner:
        yield _unfitted(source, outline, bare)
    yield from _other_weights(source, weights)


def _unfitted(source: Source, outline: Outline, bare: list[str]) -> Problem:
    place = Place(source.text.file)
    message, told = "the chain is not fitted", "it prints scores, and every verdict is inconclusive"
    if outline.calibrate and bare:
        place = source.key(("calibrate",))
        message, told = "the chain is fitted in part", f"no calibration for {', '.join(bare)}"
    elif not bare:
        place = source.value(("combine", "use"))
        message, told = "the combiner is not fitted", "every verdict is inconclusive"
    step = f"to fit it: d2f chain fit {source.text.file} --data DIR -o FITTED.yaml"
    return Problem("D2F127", message, place, notes=(told, step), severity="warning")


def _other_weights(source: Source, weights: Mapping[str, str]) -> Iterator[Problem]:
    pinned = source.node(("fitted", "weights"))
    for name, pair in pinned.pairs.items() if isinstance(pinned, Pairs) else ():
        sha256 = pair.value.value if isinstance(pair.value, Scalar) else None
        now = weights.get(name)
        if now == sha256:
            continue
        in_use = f"in use: sha256 {now[:12]}…" if now else f"in use: {', '.join(sorted(weights)) or 'no weights'}"
        refit = f"to fit it with the weights in use: d2f chain fit {source.text.file} --data DIR -o FITTED.yaml"
        place = source.value(("fitted", "weights", name))
        yield Problem("D2F506", f"the chain was fitted with other weights '{name}'", place, notes=(in_use, refit))


def check_names(source: Source, outline: Outline) -> Iterator[Problem]:
    """Yield what is wrong between the parts of a file."""
    yield from _views(source, outline)
    yield from _ids(source, outline)
    yield from _thresholds(source)
    if outline.complete:
        yield from _members(source, outline)
        yield from _need(source, outline)
        yield from _unused(source, outline)


def _views(source: Source, outline: Outline) -> Iterator[Problem]:
    known = [PLAIN, *outline.views]
    for detector in outline.detectors:
        seen: set[str] = set()
        for path, view in detector.views:
            if view not in known and IDENTIFIER.fullmatch(view):
                notes = did_you_mean(view, known) or (f"views: {', '.join(known)}",)
                label = "not defined under `views`"
                yield Problem("D2F120", f"unknown view '{view}'", source.value(path), label, notes)
            elif view in seen:
                yield Problem("D2F106", f"the view '{view}' stands twice", source.value(path), notes=("keep one",))
            seen.add(view)


def _ids(source: Source, outline: Outline) -> Iterator[Problem]:
    first: dict[str, Place] = {}
    for detector in outline.detectors:
        if detector.id is None:
            continue
        path = detector.stage.path
        place = source.value((*path, "use" if source.node((*path, "id")) is None else "id"))
        if detector.id in first:
            notes = (f"first in line {first[detector.id].line}", "give one of them another `id`")
            yield Problem("D2F121", f"two detectors have the id '{detector.id}'", place, notes=notes)
        first.setdefault(detector.id, place)


def _members(source: Source, outline: Outline) -> Iterator[Problem]:
    for member in outline.calibrate:
        if member not in outline.members:
            notes = did_you_mean(member, outline.members) or (f"members: {', '.join(outline.members)}",)
            place = source.key(("calibrate", member))
            yield Problem("D2F122", f"unknown member '{member}'", place, "no detector looks at this view", notes)


def _need(source: Source, outline: Outline) -> Iterator[Problem]:
    need = source.node(("combine", "need"))
    members = len(outline.members)
    if isinstance(need, Scalar) and isinstance(need.value, int) and need.value > members:
        message = f"`need` asks for {need.value} members, and the chain has {members}"
        yield Problem(
            "D2F125", message, source.value(("combine", "need")), notes=("every verdict would be inconclusive",)
        )


def _unused(source: Source, outline: Outline) -> Iterator[Problem]:
    used = {view for detector in outline.detectors for _, view in detector.views}
    for view in outline.views:
        if view not in used and view != PLAIN:
            place = source.key(("views", view))
            note = "name it in a detector's `views`, or leave it out"
            yield Problem("D2F126", f"no detector looks at the view '{view}'", place, notes=(note,), severity="warning")


def _thresholds(source: Source) -> Iterator[Problem]:
    verdict = source.root.get("verdict")
    if not isinstance(verdict, Pairs):
        return
    given = {name: _number(verdict, name) for name in ("real_below", "generated_above")}
    fields = VerdictRule.model_fields
    below, above = (fields[name].default if value is None else value for name, value in given.items())
    if below > above:
        key = "real_below" if given["real_below"] is not None else "generated_above"
        message = f"the thresholds cross: real_below is {below:g}, generated_above is {above:g}"
        note = "a probability between them would be both; let real_below be the smaller"
        yield Problem("D2F124", message, source.value(("verdict", key)), notes=(note,))


def _number(verdict: Pairs, name: str) -> float | None:
    node = verdict.get(name)
    value = node.value if isinstance(node, Scalar) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def check_version(source: Source) -> Problem | None:
    """Return what is wrong with the format version; nothing else is looked at before it is right."""
    node = source.root.get("d2f")
    if node is None:
        note = f"write `d2f: {FORMAT_VERSION}` in the first line"
        return Problem("D2F103", "the format version is missing", Place(source.text.file), notes=(note,))
    version = node.value if isinstance(node, Scalar) else None
    if version == FORMAT_VERSION and isinstance(version, int) and not isinstance(version, bool):
        return None
    place = source.value(("d2f",))
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        note = f"write `d2f: {FORMAT_VERSION}`: the version of the format, not of the program"
        return Problem("D2F103", f"{shown(node.data)} is no format version", place, notes=(note,))
    message = f"format version {version} is newer than what this d2f reads, which is {FORMAT_VERSION}"
    return Problem("D2F103", message, place, notes=(_upgrade(source),))


def _upgrade(source: Source) -> str:
    writer = source.node(("fitted", "d2f"))
    if isinstance(writer, Scalar) and isinstance(writer.value, str) and writer.value[:1].isdigit():
        return f"it was written by d2f {writer.value}: pip install 'd2f>={writer.value}'"
    return "to upgrade: pip install --upgrade d2f"


def check_structure(source: Source) -> list[Problem]:
    """Return unknown and missing keys, wrong types and ranges, and names that cannot be names."""
    found = without_echoes(findings(ChainFile, source.root.data))
    return [*_view_names(source), *(_problem(source, finding) for finding in found)]


def without_echoes(found: Iterable[Finding]) -> list[Finding]:
    """Return findings without the missing keys that were only misspelt, which is said already."""
    found = list(found)
    misspelt = {(*finding.path[:-1], finding.suggestion) for finding in found if finding.sort == "unknown"}
    return [finding for finding in found if finding.sort != "missing" or finding.path not in misspelt]


def _problem(source: Source, finding: Finding) -> Problem:
    if finding.sort == "unknown":
        place = source.key(finding.path)
        return Problem("D2F104", f"unknown key '{finding.path[-1]}'", place, notes=finding.notes)
    if finding.sort == "missing":
        description = (finding.description,) if finding.description else ()
        place = source.value(finding.path) if len(finding.path) > 1 else Place(source.text.file)
        return Problem("D2F105", f"the key '{finding.path[-1]}' is missing", place, notes=description)
    message = finding.message.replace(f"text that matches ^{IDENTIFIER.pattern}$", f"text: {SHAPE}")
    return Problem("D2F106", f"{finding.name} {message}", source.value(finding.path), notes=finding.notes)


def check_numbers(source: Source) -> Iterator[Problem]:
    """Yield the numbers that are none, wherever they stand; of them nothing else need be said."""
    for path, scalar in walk(source.root):
        if isinstance(scalar.value, float) and not math.isfinite(scalar.value):
            place = source.value(path)
            written = place.source[place.column - 1 :][: min(place.width, 40)]
            yield Problem("D2F106", f"{place.path} must be a finite number, not {written}", place)


def _view_names(source: Source) -> Iterator[Problem]:
    views = source.root.get("views")
    for name in views.pairs if isinstance(views, Pairs) else ():
        place = source.key(("views", name))
        if name == PLAIN:
            note = "give the view another name"
            yield Problem("D2F106", f"'{PLAIN}' is the image itself and cannot be redefined", place, notes=(note,))
        elif not IDENTIFIER.fullmatch(name):
            yield Problem("D2F106", f"the name of a view must be {SHAPE}, not {shown(name)}", place)


ASKED = "asked for"
"""How the note begins that says where a stage is named whose plugin is broken."""


def check_stages(source: Source, outline: Outline, catalog: Catalog) -> tuple[list[Problem], dict[str, str]]:
    """Return what is wrong with the stages, and the sha256 of the weights in use, by name."""
    check = _StageCheck(source, catalog)
    for part in outline.stages:
        check.stage(part)
    for detector in outline.detectors:
        check.file_bytes(detector)
    if outline.combine is not None and outline.complete:
        check.combiner(outline.combine, outline.members)
    return check.problems, check.weights


class _StageCheck:
    def __init__(self, source: Source, catalog: Catalog) -> None:
        self.source = source
        self.catalog = catalog
        self.problems: list[Problem] = []
        self.weights: dict[str, str] = {}
        self.built: dict[tuple[Any, ...], Any] = {}

    def stage(self, part: StagePart, **more: Any) -> Any:
        """Build a stage and return it, or None after noting why it cannot be built."""
        if part.use is None or not self._has_good_options(part):
            return None
        try:
            stage = build(self.catalog, part.kind, part.use, part.options or {}, **more)
            self.built[part.path] = stage
            self.weights |= {record.name: record.sha256 for record in getattr(stage, "weights", ())}
        except D2FError as error:
            self.problems += [self._placed(problem, part) for problem in error.problems]
            return None
        return stage

    def combiner(self, part: StagePart, members: tuple[str, ...]) -> None:
        """Build the combiner for the members; keys of its options that look like members have to be members."""
        strange = [path for path in _member_keys(part) if path[-1] not in members]
        for path in strange:
            place = self.source.key((*part.path, "with", *path))
            notes = (f"members: {', '.join(members)}",)
            self.problems.append(Problem("D2F122", f"unknown member '{path[-1]}'", place, "", notes))
        if not strange:
            self.stage(part, members=members)

    def file_bytes(self, detector: DetectorPart) -> None:
        """Note the views other than plain of a detector that reads the file's bytes."""
        stage = self.built.get(detector.stage.path)
        if not isinstance(getattr(stage, "wants", None), FileBytes):
            return
        for path, view in detector.views:
            if view != PLAIN:
                message = f"detector '{detector.stage.use}' reads the file's bytes and cannot look at '{view}'"
                notes = (f"leave out `views`, or write [{PLAIN}]",)
                self.problems.append(Problem("D2F123", message, self.source.value(path), notes=notes))

    def _has_good_options(self, part: StagePart) -> bool:
        place = self.source.value((*part.path, "use"))
        try:
            stage = self.catalog.find(part.kind, str(part.use), place)
        except D2FError as error:
            self.problems += [self._placed(problem, part) for problem in error.problems]
            return False
        wrong = without_echoes(findings(stage.Options, part.options)) if part.options is not None else []
        for finding in wrong:
            problem = replace(option_problem(part.kind, stage.name, finding), place=self._option_place(part, finding))
            if finding.sort == "unknown" and not finding.choices:
                problem = replace(problem, notes=(f"'{stage.name}' has no options",))
            self.problems.append(problem)
        return not wrong and part.options is not None

    def _option_place(self, part: StagePart, finding: Finding) -> Place:
        path = (*part.path, "with", *finding.path)
        return self.source.key(path) if finding.sort == "unknown" else self.source.value(path)

    def _placed(self, problem: Problem, part: StagePart) -> Problem:
        """Put a problem where its stage is asked for; one of a plugin keeps its place and says where in a note."""
        path = (*part.path, "with", "weights") if problem.code.startswith("D2F5") else (*part.path, "use")
        place = self.source.value(path if self.source.node(path) is not None else (*part.path, "use"))
        if problem.code == KINDS[part.kind].unknown and not problem.notes:
            problem = replace(problem, notes=("to see what there is: d2f plugin list",))
        if problem.place is None:
            return replace(problem, place=place)
        if problem.place.file == place.file or any(note.startswith(ASKED) for note in problem.notes):
            return problem
        asked = f"{ASKED} in {place.file}:{place.line}:{place.column} at {place.path}"
        return replace(problem, notes=(asked, *problem.notes))


def _member_keys(part: StagePart) -> list[tuple[str, str]]:
    """Return (option, key) of every key with a slash in a combiner's options: such keys name members."""
    tables = {name: value for name, value in (part.options or {}).items() if isinstance(value, dict)}
    return [(name, key) for name, table in tables.items() for key in table if "/" in key]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found."""

    file: ChainFile | None
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


def check_text(text: Text, catalog: Catalog, *, refit: bool = False) -> Checked:
    """Check a chain file."""
    source, refused = parse(text)
    problems: list[Problem] = []
    if source is not None:
        source = without_fit(source) if refit else source
        wrong_version = check_version(source)
        refused += [wrong_version] if wrong_version is not None else check_numbers(source)
        problems = _check_parts(source, catalog, refit) if wrong_version is None else []
    found = _ordered(refused, problems)
    if source is None or any(problem.severity == "error" for problem in found):
        return Checked(None, found)
    return Checked(ChainFile.model_validate(source.root.data), found)


def _check_parts(source: Source, catalog: Catalog, refit: bool) -> list[Problem]:
    parts = outline(source.root, Combine().use)
    stage_problems, weights = check_stages(source, parts, catalog)
    problems = [*check_structure(source), *check_names(source, parts), *stage_problems]
    if refit:
        # Weights of members that are gone are about to be replaced.
        return [problem for problem in problems if problem.code not in ("D2F122", "D2F127")]
    # A combiner without its weights is no error of the file: the chain waits to be fitted.
    kept = [problem for problem in problems if problem.code != "D2F127"]
    if any(problem.severity == "error" for problem in kept):
        return kept
    return [*kept, *check_fit(source, parts, weights, combiner=len(kept) == len(problems))]


def _ordered(refused: list[Problem], problems: list[Problem]) -> tuple[Problem, ...]:
    """Return all problems by line; of a token that was refused outright nothing more is said."""
    silenced = {_where(problem) for problem in refused if problem.code != "D2F101"}
    kept = [problem for problem in problems if _where(problem) not in silenced or not _where(problem)[0]]
    return tuple(sorted(dict.fromkeys([*refused, *kept]), key=_where))


def _where(problem: Problem) -> tuple[int, int]:
    place = problem.place or Place("")
    return place.line, place.column
