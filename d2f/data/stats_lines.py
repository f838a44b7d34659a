"""Counts as text: a table with bars for each axis."""

from __future__ import annotations

from collections.abc import Iterator

from d2f.data.stats import Counts, Stats

WIDTH = 40
"""Of the longest bar, in characters."""


def stats_lines(found: Stats, top: int = 10) -> Iterator[str]:
    """Yield the lines of a report; of each axis the `top` most frequent values are named."""
    yield "in the bars, = is a photograph's share and # a generated image's"
    yield from _axis("label", _by_label(found.labels), 2)
    yield from _axis("label, after balancing", _by_label(found.balanced), 2)
    for axis, counts in found.counts.items():
        yield from _axis(axis, counts, top)
        if axis == "generator":
            yield from _axis("generator, after balancing", found.balanced_generators, top)


def bar(real: int, generated: int, most: int, width: int = WIDTH) -> str:
    """Return a bar of at most `width` characters, `most` images being that long.

    >>> bar(2, 4, most=12, width=12)
    '==####'
    """
    whole = round(width * (real + generated) / most)
    of_real = round(width * real / most)
    return "=" * of_real + "#" * (whole - of_real)


def _by_label(labels: tuple[int, int]) -> Counts:
    return {"real": (labels[0], 0), "generated": (0, labels[1])}


def _axis(title: str, counts: Counts, top: int) -> Iterator[str]:
    if not counts:
        return
    shown, rest = list(counts.items())[:top], list(counts.values())[top:]
    wide = max(len(title), *(len(value) for value, _ in shown), len(_others(rest)))
    most = max(max(map(sum, counts.values())), 1)
    yield ""
    yield f"{title:<{wide}}    real  generated"
    for value, (real, generated) in shown:
        yield f"{value:<{wide}}  {real:>6}  {generated:>9}  {bar(real, generated, most)}".rstrip()
    if rest:
        real, generated = (sum(pair[i] for pair in rest) for i in (0, 1))
        yield f"{_others(rest):<{wide}}  {real:>6}  {generated:>9}"


def _others(rest: list[tuple[int, int]]) -> str:
    return f"… {len(rest)} others" if rest else ""
