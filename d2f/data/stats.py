"""Counts as text: a table with bars for each axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from d2f.data.dataset import Labelled
from d2f.data.facts import FileFacts, Inspection
from d2f.data.weights import Balance, balanced

Counts = Mapping[str, tuple[int, int]]
"""Of each value, how many photographs and how many generated images have it."""

SIZES = (128, 256, 512, 1024, 2048, 4096)
"""Bounds of the classes of the longer side, in pixels, each included."""

QUALITIES = (50, 70, 80, 85, 90, 95)
"""Least qualities of the classes of JPEG quality, beside the one from 1."""

_OF_IMAGE: Mapping[str, Callable[[Labelled], str]] = {
    "generator": lambda image: image.generator if image.label else "",
    "source": lambda image: image.source,
    "collection": lambda image: image.collection,
}
_OF_FILE: Mapping[str, Callable[[FileFacts], str]] = {
    "longer side": lambda facts: size_class(facts.width, facts.height),
    "format": lambda facts: facts.format,
    "JPEG quality": lambda facts: quality_class(facts.quality),
    "chroma subsampling": lambda facts: facts.chroma,
    "metadata": lambda facts: "+".join(facts.metadata) or "none",
}


@dataclass(frozen=True)
class Stats:
    """A set, counted."""

    labels: tuple[int, int]
    counts: Mapping[str, Counts]
    balanced: tuple[int, int]
    balanced_generators: Counts
    unread: int

    def plain(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        return {
            "labels": _by_label_name(self.labels),
            "by": {axis: _by_value(counts) for axis, counts in self.counts.items()},
            "balanced": {
                "labels": _by_label_name(self.balanced),
                "generator": _by_value(self.balanced_generators),
            },
            "unread": self.unread,
        }


def set_stats(seen: Inspection, balance: Balance = "smallest", seed: int = 0) -> Stats:
    """Count a set."""
    images = seen.images
    after = balanced(images, balance, seed) if len(set(images.labels.tolist())) == 2 else images
    counts = {axis: _count((of(image), image.label) for image in images) for axis, of in _OF_IMAGE.items()}
    for axis, of_file in _OF_FILE.items():
        counts[axis] = _count((of_file(facts), image.label) for facts, image in zip(seen.facts, images, strict=True))
    generators = _count((_OF_IMAGE["generator"](image), image.label) for image in after)
    return Stats(images.label_counts, counts, after.label_counts, generators, len(seen.problems))


def size_class(width: int, height: int) -> str:
    """Return the class of a picture's longer side.

    >>> size_class(640, 480), size_class(64, 64), size_class(6000, 4000)
    ('513-1024', 'up to 128', 'over 4096')
    """
    longer, below = max(width, height), 0
    for bound in SIZES:
        if longer <= bound:
            return f"{below + 1}-{bound}" if below else f"up to {bound}"
        below = bound
    return f"over {below}"


def quality_class(quality: int | None) -> str:
    """Return the class of a JPEG's quality; empty for what is no JPEG.

    >>> quality_class(92), quality_class(100), quality_class(None)
    ('90-94', '95-100', '')
    """
    if quality is None:
        return ""
    bounds = (1, *QUALITIES, 101)
    at = max(i for i, bound in enumerate(bounds) if quality >= bound)
    return f"{bounds[at]}-{bounds[at + 1] - 1}"


def _count(values: Iterable[tuple[str, int]]) -> Counts:
    """Count values by label, the most frequent first."""
    counts: dict[str, list[int]] = {}
    for value, label in values:
        if value:
            counts.setdefault(value, [0, 0])[label] += 1
    ordered = sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0]))
    return {value: (real, generated) for value, (real, generated) in ordered}


def _by_label_name(pair: tuple[int, int]) -> dict[str, int]:
    return {"real": pair[0], "generated": pair[1]}


def _by_value(counts: Counts) -> dict[str, dict[str, int]]:
    return {value: _by_label_name(pair) for value, pair in counts.items()}


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


def text_bar(real: int, generated: int, most: int) -> str:
    """Return a bar of at most `WIDTH` characters, `most` images being that long.

    >>> text_bar(2, 1, most=12)
    '=======###'
    """
    whole = round(WIDTH * (real + generated) / most)
    of_real = round(WIDTH * real / most)
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
        yield f"{value:<{wide}}  {real:>6}  {generated:>9}  {text_bar(real, generated, most)}".rstrip()
    if rest:
        real, generated = (sum(pair[i] for pair in rest) for i in (0, 1))
        yield f"{_others(rest):<{wide}}  {real:>6}  {generated:>9}"


def _others(rest: list[tuple[int, int]]) -> str:
    return f"… {len(rest)} others" if rest else ""
