"""The report of many images: a folder with a gallery, a page an image, small copies, and the record.

    DIR/index.html            all images by probability, AT_ONCE a page; further pages beside it
    DIR/generated.html, …     those of one verdict, those with a statement of their own, those that disagree
    DIR/images/000/000001.html, DIR/thumbs/000/000001.jpg
    DIR/report.json           as `report_schema` says

Rows are written as they come. What is held for the gallery is a line an image, some 200 bytes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from d2f.api.rows import VERDICT_WORDS, Row, encodable
from d2f.chain.words import percent
from d2f.explain.explain import Explanation, splice_of
from d2f.explain.map import KINDS
from d2f.explain.page import STYLE, footer, no_map, section
from d2f.explain.record import head_of, image_of
from d2f.files import explained, require_new_folder, write_whole
from d2f.report.page import document, thumbnail

if TYPE_CHECKING:
    from d2f.chain.chain import Chain

AT_ONCE = 200
"""Images on one page of the gallery."""

THUMBNAIL = 240
"""Longer side of a small copy, in pixels."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the gallery shows of one image."""

    number: int
    name: str
    verdict: str
    probability: float | None
    words: str
    stated: bool
    disagrees: bool
    pictured: bool

    @property
    def place(self) -> str:
        """Where its page and small copy are, below their folders, without an ending."""
        return f"{self.number // 1000:03}/{self.number:06}"


FILTERS: Mapping[str, tuple[str, Callable[[Shown], bool]]] = {
    "index": ("all", lambda one: True),
    "generated": (VERDICT_WORDS["generated"], lambda one: one.verdict == "generated"),
    "inconclusive": (VERDICT_WORDS["inconclusive"], lambda one: one.verdict == "inconclusive"),
    "real": (VERDICT_WORDS["real"], lambda one: one.verdict == "real"),
    "failed": ("not judged", lambda one: one.verdict == "failed"),
    "stated": ("the file states something", lambda one: one.stated),
    "disagreeing": ("detectors disagree", lambda one: one.disagrees),
}
"""Pages of the gallery by file name: their words, and which images they show."""

GALLERY_STYLE = """
body { max-width: 84rem; }
nav { display: flex; flex-wrap: wrap; gap: .4rem 1rem; margin: 1rem 0; }
nav a, .gallery a { color: var(--ink); } nav b { border-bottom: 2px solid var(--ink); }
.gallery { grid-template-columns: repeat(auto-fill, minmax(min(45%, 170px), 1fr)); gap: 1rem; }
.gallery .thumb { display: flex; height: 150px; background: var(--rule); align-items: center; justify-content: center;
  color: var(--soft); text-align: center; font-size: .8rem; text-decoration: none; }
.gallery .thumb img { max-height: 150px; max-width: 100%; }
.gallery b.generated { color: var(--made); } .gallery b.real { color: var(--real); }
@media print { nav { display: none; } }
"""


class GalleryWriter:
    """Writes the report of a run into a folder: `add` for each row, `close` at the end."""

    def __init__(self, folder: str, chain: Chain) -> None:
        self.folder, self._chain = require_new_folder(folder), chain
        self._views_and_maps = (
            f"Views and maps are made for one image at a time: d2f explain {chain.name} IMAGE -o report.html."
        )
        if not any(found is not None and found.helps for found in map(partial(splice_of, chain), KINDS)):
            self._views_and_maps += f" {no_map(chain)}"
        self._shown: list[Shown] = []
        self._open = ExitStack()
        with explained(folder):
            self.folder.mkdir(exist_ok=True)
            part = self.folder / "report.json.part"
            self._record = self._open.enter_context(part.open("w", encoding="utf-8"))
            head = json.dumps(head_of(chain, False), ensure_ascii=False, indent=1)
            self._record.write(encodable(head).rstrip().removesuffix("}").rstrip() + ',\n "images": [')

    def add(self, row: Row) -> None:
        """Write one image's page, small copy and part of the record."""
        one = Explanation(self._chain, row, None)
        small = thumbnail(row.path, THUMBNAIL) if row.error is None else None
        shown = Shown(
            len(self._shown),
            one.name,
            "failed" if row.error is not None else row.verdict or "inconclusive",
            row.probability,
            _caption(row),
            bool(row.evidence),
            bool(row.disagreements),
            small is not None,
        )
        with explained(self.folder):
            if small is not None:
                _write(self.folder / "thumbs" / f"{shown.place}.jpg", small)
            _write(self.folder / "images" / f"{shown.place}.html", self._page_of(one, shown).encode())
            text = json.dumps(image_of(one), ensure_ascii=False, allow_nan=False)
            self._record.write(("," if shown.number else "") + "\n" + encodable(text))
        self._shown.append(shown)

    def close(self, ended: bool = True) -> None:
        """Write the gallery and finish the record; `ended`: every image of the run is in it."""
        with explained(self.folder):
            self._record.write("\n]}\n")
            self._open.close()
            os.replace(self.folder / "report.json.part", self.folder / "report.json")
        self._shown.sort(key=lambda one: (-(-1.0 if one.probability is None else one.probability), one.number))
        counts = Counter({name: sum(map(takes, self._shown)) for name, (_, takes) in FILTERS.items()})
        for name, (_, takes) in FILTERS.items():
            if name == "index" or counts[name]:
                self._write_pages(name, [one for one in self._shown if takes(one)], counts, ended)

    def _page_of(self, one: Explanation, shown: Shown) -> str:
        small = f'<img alt="the picture" src="../../thumbs/{shown.place}.jpg">' if shown.pictured else ""
        back = '<nav><a href="../../index.html">all images</a></nav>'
        parts = [back, *section(one, shown.number, "h1", small), f"<p class=soft>{escape(self._views_and_maps)}</p>"]
        return document(shown.name, [*parts, *footer(self._chain, False)], STYLE)

    def _write_pages(self, name: str, shown: Sequence[Shown], counts: Counter[str], ended: bool) -> None:
        pages = max(1, -(-len(shown) // AT_ONCE))
        for number in range(pages):
            body = [
                "<h1>Images judged by d2f</h1>",
                f"<p>{len(self._shown):,} images, chain {escape(self._chain.name)}, the most probably generated first."
                f"{'' if ended else ' The run was interrupted: some images are missing.'}</p>",
                _links(name, counts),
                _turns(name, number, pages),
                '<main class="gallery">',
                *map(_figure, shown[number * AT_ONCE : (number + 1) * AT_ONCE]),
                "</main>",
                _turns(name, number, pages),
                *footer(self._chain, False),
            ]
            write_whole(
                self.folder / _page_file(name, number), document("Images judged by d2f", body, STYLE + GALLERY_STYLE)
            )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _caption(row: Row) -> str:
    if row.error is not None:
        return "not judged"
    words = VERDICT_WORDS[row.verdict or "inconclusive"]
    return words if row.probability is None else f"{words}, {percent(row.probability)}"


def _page_file(name: str, number: int) -> str:
    return f"{name}.html" if not number else f"{name}-{number + 1}.html"


def _links(current: str, counts: Counter[str]) -> str:
    """Return the filters with their counts."""
    links = [
        f"<b>{escape(words)} ({counts[name]:,})</b>"
        if name == current
        else f'<a href="{_page_file(name, 0)}">{escape(words)} ({counts[name]:,})</a>'
        for name, (words, _) in FILTERS.items()
        if counts[name] or name == "index"
    ]
    return f"<nav>{''.join(links)}</nav>"


def _turns(name: str, number: int, pages: int) -> str:
    """Return links to the pages of one filter; nothing where there is one page."""
    if pages == 1:
        return ""
    # The pages worth a link: the first, the last, and those around this one.
    links = (
        f"<b>{at + 1}</b>" if at == number else f'<a href="{_page_file(name, at)}">{at + 1}</a>'
        for at in range(pages)
        if at in (0, pages - 1) or abs(at - number) <= 5
    )
    return f"<nav>pages: {' '.join(links)}</nav>"


def _figure(one: Shown) -> str:
    place = quote(one.place)
    small = f'<img loading="lazy" alt="" src="thumbs/{place}.jpg">' if one.pictured else "no picture"
    return (
        f'<figure><a class="thumb" href="images/{place}.html">{small}</a><figcaption>'
        f'<b class="{one.verdict}">{escape(one.words)}</b><br>{escape(one.name)}</figcaption></figure>'
    )
