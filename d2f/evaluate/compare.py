"""`d2f bench compare`: which figures fell by more than their interval, and which images are judged otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError
from d2f.evaluate.bench import ROWS
from d2f.metrics.figures import FIGURES
from d2f.report.page import document, inline
from d2f.report.tables import Table, number


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one chain on one copy, before and after."""

    system: str
    attack: str
    figure: str
    old: float
    new: float
    bound: float | None
    better: int

    @property
    def fell(self) -> bool:
        """Whether the figure is worse now than the old interval's bad end."""
        limit = self.old if self.bound is None else self.bound
        return self.better * self.new < self.better * limit


@dataclass(frozen=True, slots=True)
class Compared:
    """The figures that two results have in common, and reasons why they may not mean the same."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]

    @property
    def fallen(self) -> tuple[Change, ...]:
        """The figures that fell."""
        return tuple(change for change in self.changes if change.fell)

    def table(self, every: bool) -> Table:
        """Return the fallen figures, or every figure."""
        rows = tuple(
            (
                f"{one.system}, {one.attack}",
                one.figure,
                number(one.old),
                number(one.bound),
                number(one.new),
                "fell" if one.fell else "",
            )
            for one in (self.changes if every else self.fallen)
        )
        return Table("changes", ("chain, attack", "figure", "old", "bound", "new", ""), rows)


def compare_results(old: Mapping[str, Any], new: Mapping[str, Any], chosen: Sequence[str]) -> Compared:
    """Compare figures of every chain and attack that both results hold.

    Chains are paired by name; where each result holds one chain only, those are a pair whatever their names.
    """
    for name in chosen:
        if name not in FIGURES:
            raise D2FError.of("D2F001", f"there is no figure '{name}'", f"there are {', '.join(FIGURES)}")
    changes = tuple(change for one, other in paired(old, new) for change in _changes(one, other, chosen))
    if not changes:
        raise D2FError.of("D2F001", "the two results have no chain, attack and figure in common")
    return Compared(changes, tuple(_warnings(old, new, changes)))


def paired(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Return the systems of two results that are compared: those of one name, or the only one of each."""
    before, after = old["systems"], new["systems"]
    if len(before) == len(after) == 1:
        return [(before[0], after[0])]
    named = {system["name"]: system for system in before}
    return [(named[system["name"]], system) for system in after if system["name"] in named]


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], chosen: Sequence[str]) -> Iterator[Change]:
    for attack, figures in new["figures"].items():
        for name in chosen:
            before = old["figures"].get(attack, {}).get(name, (None,))
            if before[0] is None or figures[name][0] is None:
                continue
            better = FIGURES[name].better
            bound = before[1] if better > 0 else before[2]
            yield Change(new["name"], attack, name, before[0], figures[name][0], bound, better)


def _warnings(old: Mapping[str, Any], new: Mapping[str, Any], changes: Sequence[Change]) -> Iterator[str]:
    facts = (
        ("the images", old["data"]["digest"], new["data"]["digest"]),
        ("the protocol", old["protocol"], new["protocol"]),
        ("the class that is attacked", old["attacked"], new["attacked"]),
    )
    for words, before, after in facts:
        if before != after:
            yield f"{words} differ: {before[:20]} and {after[:20]}"
    for name, found in (("old", old), ("new", new)):
        yield from (f"{name}: {caution}" for caution in found["cautions"])
    without = sum(change.bound is None for change in changes)
    if without:
        yield f"{without} of {len(changes)} old figures have no interval: any fall of theirs counts"


# With `--images`: image by image, what got better and what got worse.

RANK = {True: 2, None: 1, False: 0}
"""A verdict that is right, inconclusive, wrong."""

SHOWN = 60
"""Images of each kind on the page."""

SIDE = 96
"""Pixels of a thumbnail's longer side."""

COLUMNS = ("path", "sha256", "label", "generator", "collection", "attack", "chain", "member", "llr", "verdict")


@dataclass(frozen=True, slots=True)
class ImageChange:
    """An image under an attack, judged before and after; `gain` is what its ratio moved towards its label, in nats."""

    path: str
    label: str
    generator: str
    collection: str
    attack: str
    old: str
    new: str
    gain: float

    @property
    def step(self) -> int:
        """Above 0 where the verdict got better, below where it got worse."""
        old, new = (RANK[None if one == "inconclusive" else one == self.label] for one in (self.old, self.new))
        return new - old


@dataclass(frozen=True, slots=True)
class ImageChanges:
    """The images that two benches of a pair of chains have in common."""

    old: str
    new: str
    changes: tuple[ImageChange, ...]

    def better(self) -> list[ImageChange]:
        """Return those whose verdict got better, most first."""
        return sorted((one for one in self.changes if one.step > 0), key=lambda one: (-one.step, -one.gain))

    def worse(self) -> list[ImageChange]:
        """Return those whose verdict got worse, most first."""
        return sorted((one for one in self.changes if one.step < 0), key=lambda one: (one.step, one.gain))

    def table(self) -> Table:
        """Return one row an attack: how many verdicts got better and worse, and how many turned all the way."""
        rows = []
        for attack in dict.fromkeys(one.attack for one in self.changes):
            steps = [one.step for one in self.changes if one.attack == attack]
            counts = (len(steps), sum(s > 0 for s in steps), sum(s < 0 for s in steps))
            rows.append((attack, *map(str, (*counts, sum(s == 2 for s in steps), sum(s == -2 for s in steps)))))
        headings = ("attack", "images", "better", "worse", "wrong to right", "right to wrong")
        return Table(f"{self.old} to {self.new}, by image", headings, tuple(rows))


def compare_images(old: str, new: str, pairs: Sequence[tuple[str, str]]) -> list[ImageChanges]:
    """Join the rows of two benches' folders by file, attack and chain."""
    before, after = _read_images(old), _read_images(new)
    found = []
    for one, other in pairs:
        earlier = {(row["sha256"], row["attack"]): row for row in before if row["chain"] == one}
        later = [row for row in after if row["chain"] == other]
        joined = [(earlier[key], row) for row in later if (key := (row["sha256"], row["attack"])) in earlier]
        changes = tuple(_change(first, second) for first, second in joined)
        if not changes:
            raise D2FError.of("D2F001", f"the benches of '{one}' and '{other}' have no image in common")
        found.append(ImageChanges(one, other, changes))
    return found


def _read_images(place: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    path = Path(place, ROWS)
    if not path.is_file():
        raise D2FError.of("D2F002", f"there is no '{path}'", "give the folders that d2f bench … -o DIR wrote")
    rows: list[dict[str, Any]] = pq.read_table(path, columns=list(COLUMNS), filters=[("member", "==", "")]).to_pylist()
    return [row for row in rows if row["verdict"]]


def _change(first: Mapping[str, Any], second: Mapping[str, Any]) -> ImageChange:
    towards = 1 if second["label"] == "generated" else -1
    gain = ((second["llr"] or 0.0) - (first["llr"] or 0.0)) * towards
    facts = (second["path"], second["label"], second["generator"] or "", second["collection"] or "", second["attack"])
    return ImageChange(*facts, first["verdict"], second["verdict"], gain)


def changes_page(found: Sequence[ImageChanges]) -> str:
    """Return an HTML page, complete in itself: counts, then images with thumbnails, worse ones first."""
    body = ["<h1>What changed, by image</h1>"]
    for pair in found:
        body.append(pair.table().html())
        for title, changes in (("Worse", pair.worse()), ("Better", pair.better())):
            more = f", the first {SHOWN}" if len(changes) > SHOWN else ""
            body.append(f"<h3>{title}: {len(changes)} verdicts{more}</h3>")
            if changes:
                rows = map(_image_row, changes[:SHOWN])
                body += ['<div class="wide"><table class="changed"><tbody>', *rows, "</tbody></table></div>"]
    return document("What changed, by image", body)


def _image_row(one: ImageChange) -> str:
    facts = (one.label, one.generator, one.collection, one.attack, f"{one.old} → {one.new}", f"{one.gain:+.2f}")
    cells = "".join(f"<td>{escape(fact)}</td>" for fact in facts)
    return f"<tr><td>{inline(one.path, SIDE)}{escape(one.path)}</td>{cells}</tr>"
