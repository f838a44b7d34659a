"""Keys, types and ranges: what the models of the chain file say of the data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from d2f.api.errors import Place, Problem
from d2f.chain.model import FORMAT_VERSION, IDENTIFIER, SHAPE, ChainFile
from d2f.chain.nodes import Pairs, Scalar, walk
from d2f.chain.source import Source
from d2f.engine.plan import PLAIN
from d2f.plugins.expectation import shown
from d2f.plugins.validation import Finding, findings


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
