"""Stages of a chain file: found, their options read by their own models, and built once to see that they can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from d2f.api.errors import D2FError, Place, Problem
from d2f.api.inputs import FileBytes
from d2f.chain.check_structure import without_echoes
from d2f.chain.outline import DetectorPart, Outline, StagePart
from d2f.chain.source import Source
from d2f.engine.plan import PLAIN
from d2f.plugins.build import build
from d2f.plugins.catalog import Catalog
from d2f.plugins.kinds import KINDS
from d2f.plugins.validation import Finding, findings, option_problem

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
        check.combiner(outline.combine, outline.cells)
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

    def combiner(self, part: StagePart, cells: tuple[str, ...]) -> None:
        """Build the combiner for the cells; keys of its options that look like cells have to be cells."""
        strange = [path for path in _cell_keys(part) if path[-1] not in cells]
        for path in strange:
            place = self.source.key((*part.path, "with", *path))
            notes = (f"cells: {', '.join(cells)}",)
            self.problems.append(Problem("D2F122", f"unknown cell '{path[-1]}'", place, "", notes))
        if not strange:
            self.stage(part, cells=cells)

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


def _cell_keys(part: StagePart) -> list[tuple[str, str]]:
    """Return (option, key) of every key with a slash in a combiner's options: such keys name cells."""
    tables = {name: value for name, value in (part.options or {}).items() if isinstance(value, dict)}
    return [(name, key) for name, table in tables.items() for key in table if "/" in key]
