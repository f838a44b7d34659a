"""Names within a chain file: views, detector ids, cells, and the few rules between keys."""

from __future__ import annotations

from collections.abc import Iterator

from d2f.api.errors import Place, Problem
from d2f.api.nearest import did_you_mean
from d2f.chain.model import IDENTIFIER, VerdictRule
from d2f.chain.nodes import Pairs, Scalar
from d2f.chain.outline import Outline
from d2f.chain.source import Source
from d2f.engine.plan import PLAIN


def check_names(source: Source, outline: Outline) -> Iterator[Problem]:
    """Yield what is wrong between the parts of a file."""
    yield from _views(source, outline)
    yield from _ids(source, outline)
    yield from _thresholds(source)
    if outline.complete:
        yield from _cells(source, outline)
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


def _cells(source: Source, outline: Outline) -> Iterator[Problem]:
    for cell in outline.calibrate:
        if cell not in outline.cells:
            notes = did_you_mean(cell, outline.cells) or (f"cells: {', '.join(outline.cells)}",)
            place = source.key(("calibrate", cell))
            yield Problem("D2F122", f"unknown cell '{cell}'", place, "no detector looks at this view", notes)


def _need(source: Source, outline: Outline) -> Iterator[Problem]:
    need = source.node(("combine", "need"))
    cells = len(outline.cells)
    if isinstance(need, Scalar) and isinstance(need.value, int) and need.value > cells:
        message = f"`need` asks for {need.value} cells, and the chain has {cells}"
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
