"""A chain file with some of its members only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from d2f.api.errors import D2FError
from d2f.chain.write import fitted_text, segment
from d2f.chain.yaml import Source, Span, as_text, parse
from d2f.engine.plan import PLAIN


def thinned_text(text: str, members: Collection[str]) -> str:
    """Return a chain file's text without the detectors and views that no member is left of.

    The lines of what goes are cut out, with the comments above them; the others stay as their author wrote them. What
    an earlier fit wrote stays too: the chain waits to be fitted.

    Parameters
    ----------
    text : str
        Of a chain that was checked.
    members : collection of str
        Those that stay, at least one, as ``detector/view``.

    Examples
    --------
    >>> text = "d2f: 1\\ndetectors:\\n  - {use: a, views: [plain, soft]}\\n  # not mine\\n  - {use: b}\\n"
    >>> print(thinned_text(text, ["a/plain"]), end="")
    d2f: 1
    detectors:
      - {use: a, views: [plain]}
    """
    source = _source(text)
    data = source.data
    thin = [_thin(use, members) for use in data["detectors"]]
    wanted: dict[str, Any] = {"detectors": [use for use in thin if use]}
    used = {view for use in wanted["detectors"] for view in use.get("views", ())}
    kept = {name: steps for name, steps in data.get("views", {}).items() if name in used}
    spans = [*_cut(source, "detectors", [bool(use) for use in thin])]
    if kept:
        wanted["views"] = kept
        spans += _cut(source, "views", [name in kept for name in data["views"]])
    elif "views" in data and source.block:
        spans.append(Span(*segment(source, "views")))
    left = source.text.text
    for span in sorted(spans, key=lambda span: -span.start):
        left = left[: span.start] + left[span.end :]
    now = _source(left).data
    left = fitted_text(left, {key: value for key, value in wanted.items() if now[key] != value})
    return left.replace("\n", "\r\n") if "\r\n" in text else left


def _thin(use: Mapping[str, Any], members: Collection[str]) -> dict[str, Any]:
    """Return a detector with the views that stay; empty where none does."""
    name, views = use.get("id", use["use"]), use.get("views", [PLAIN])
    kept = [view for view in views if f"{name}/{view}" in members]
    if not kept:
        return {}
    return dict(use) if kept == views else {**use, "views": kept}


def _cut(source: Source, key: str, stays: Collection[bool]) -> Iterator[Span]:
    """Yield the lines of a key's items that go; none where items have no lines of their own, being in brackets."""
    # A block has no token of its own: its key's is underlined.
    if not (source.block and source.values[(key,)] == source.keys[(key,)]):
        return
    inner = source.data[key]
    spans = (
        [source.keys[key, name] for name in inner]
        if isinstance(inner, dict)
        else [source.values[key, i] for i in range(len(inner))]
    )
    start, end = segment(source, key)
    bounds = [_lead(source.text.text, start, span.start) for span in spans] + [end]
    for place, stay in enumerate(stays):
        if not stay:
            yield Span(bounds[place], bounds[place + 1])


def _lead(text: str, start: int, at: int) -> int:
    """Return where the line of `at` begins, or the comments and empty lines right above it, within a key's lines."""
    begins = text.rfind("\n", 0, at) + 1
    while (above := text.rfind("\n", 0, begins - 1) + 1) > start:
        if text[above:begins].strip() and not text[above:begins].lstrip().startswith("#"):
            break
        begins = above
    return begins


def _source(text: str) -> Source:
    source, problems = parse(as_text("chain", text))
    if source is None:
        raise D2FError(problems)
    return source
