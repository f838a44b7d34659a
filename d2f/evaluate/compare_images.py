"""`d2f bench compare --images`: image by image, what got better and what got worse between two benches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError
from d2f.evaluate.bench import ROWS
from d2f.report.page import document
from d2f.report.tables import Table
from d2f.report.thumbnails import inline

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
        return _rank(self.new, self.label) - _rank(self.old, self.label)


def _rank(verdict: str, label: str) -> int:
    return RANK[None if verdict == "inconclusive" else verdict == label]


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
    """Join the rows of two benches' folders by file, attack and chain.

    Raises
    ------
    D2FError
        D2F002: a folder has no rows. D2F001: the benches have no image in common.
    """
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
    return document("What changed, by image", _images_body(found))


def _images_body(found: Sequence[ImageChanges]) -> Iterator[str]:
    yield "<h1>What changed, by image</h1>"
    for pair in found:
        yield pair.table().html()
        for title, changes in (("Worse", pair.worse()), ("Better", pair.better())):
            more = f", the first {SHOWN}" if len(changes) > SHOWN else ""
            yield f"<h3>{title}: {len(changes)} verdicts{more}</h3>"
            if changes:
                yield '<div class="wide"><table class="changed"><tbody>'
                yield from map(_image_row, changes[:SHOWN])
                yield "</tbody></table></div>"


def _image_row(one: ImageChange) -> str:
    facts = (one.label, one.generator, one.collection, one.attack, f"{one.old} → {one.new}", f"{one.gain:+.2f}")
    cells = "".join(f"<td>{escape(fact)}</td>" for fact in facts)
    return f"<tr><td>{inline(one.path, SIDE)}{escape(one.path)}</td>{cells}</tr>"
