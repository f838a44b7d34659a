"""Whether a chain is fitted, and with the weights that its stages use now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from d2f.api.errors import Place, Problem
from d2f.chain.nodes import Pairs, Scalar
from d2f.chain.outline import Outline
from d2f.chain.source import Source

WRITTEN = ("calibrate", "fitted")
"""Keys that a fit writes whole."""


def without_fit(source: Source) -> Source:
    """Return a file as if it had never been fitted."""
    kept = {key: pair for key, pair in source.root.pairs.items() if key not in WRITTEN}
    return Source(source.text, Pairs(source.root.span, kept, source.root.bare))


def check_fit(source: Source, outline: Outline, weights: Mapping[str, str], combiner: bool) -> Iterator[Problem]:
    """Yield a warning where a part of the fit is missing, and an error for each weights file that is another one.

    Parameters
    ----------
    source, outline
        The file.
    weights : mapping of str to str
        sha256 of the weights that the stages use now, by name.
    combiner : bool
        Whether the combiner has what it needs of a fit.
    """
    bare = [cell for cell in outline.cells if cell not in outline.calibrate]
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
