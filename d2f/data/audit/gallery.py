"""Doubtful labels as a page to look at and a table to fill in, all of it on the user's own disk."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from d2f.api.errors import D2FError
from d2f.data.audit.review import Doubt, thumbnail_name
from d2f.reading.image import read_image

SIDE = 256
"""Longest side of a thumbnail, in pixels."""
COLUMNS = ("path", "label", "disagreement", "probability", "score", "generator", "source", "collection", "sha256")
WORDS = ("real", "generated")

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Labels to look at again</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 1.5rem; }
figure { margin: 0; } img { max-width: 100%; } figcaption { overflow-wrap: anywhere; }
</style></head><body>
<h1>Labels to look at again</h1>
"""


def write_gallery(folder: Path, doubts: Sequence[Doubt]) -> None:
    """Write ``index.html``, ``review.csv`` and ``thumbnails/`` for images that were read before.

    The table has an empty last column, ``reviewed_label``, to be filled in by whoever looks.

    Raises
    ------
    D2FError
        D2F004 where a file cannot be written; D2F301 to D2F306 where an image is gone or has changed since.
    """
    try:
        (folder / "thumbnails").mkdir(parents=True, exist_ok=True)
        for doubt in doubts:
            _write_thumbnail(folder / "thumbnails" / thumbnail_name(doubt), doubt)
        (folder / "index.html").write_text("\n".join(_page(doubts)), "utf-8")
        with (folder / "review.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*COLUMNS, "reviewed_label"])
            writer.writerows([*_row(doubt), ""] for doubt in doubts)
    except OSError as error:
        raise D2FError.of("D2F004", f"'{folder}' cannot be written to: {error.strerror or error}") from error


def _write_thumbnail(path: Path, doubt: Doubt) -> None:
    picture = Image.fromarray(np.asarray(read_image(doubt.image.path).pixels))
    picture.thumbnail((SIDE, SIDE))
    picture.save(path, "JPEG", quality=85)


def _page(doubts: Sequence[Doubt]) -> Iterator[str]:
    yield f"{_HEAD}<p>{len(doubts)} images, those first whose label the models disagree with most. A model that"
    yield "never saw an image, nor anything of its collection, gave the probability that it is generated.</p>\n<main>"
    for doubt in doubts:
        image = doubt.image
        facts = [f"labelled <b>{WORDS[image.label]}</b>, generated with probability {doubt.probability:.3f}"]
        facts += [escape(value) for value in (image.generator, image.collection, image.path) if value]
        source = f"thumbnails/{thumbnail_name(doubt)}"
        caption = "<br>".join(facts)
        yield f'<figure><img src="{source}" alt="" loading="lazy"><figcaption>{caption}</figcaption></figure>'
    yield "</main></body></html>\n"


def _row(doubt: Doubt) -> list[object]:
    image = doubt.image
    numbers = [round(value, 6) for value in (doubt.disagreement, doubt.probability, doubt.score)]
    names = (image.generator, image.source, image.collection, doubt.sha256)
    return [image.path, WORDS[image.label], *numbers, *names]
