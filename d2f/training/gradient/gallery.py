"""The worst mistakes as a page with thumbnails; it stays in the user's own run folder."""

from __future__ import annotations

import base64
import html
import io
import os
from dataclasses import dataclass
from typing import Any

from d2f.api.errors import D2FError
from d2f.data.dataset import Labelled

SIDE = 192
"""The longer side of a thumbnail, in pixels."""
STYLE = (
    "body{font:14px system-ui;margin:2em}main{display:flex;flex-wrap:wrap;gap:1em}"
    "figure{margin:0;width:192px}figcaption{overflow-wrap:anywhere;font-size:12px}"
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """An image that was called wrong, and its score: above 0 it was called generated."""

    image: Labelled
    score: float

    def row(self) -> dict[str, Any]:
        """Return it as plain data."""
        image = self.image
        label = "generated" if image.label else "real"
        more = {"generator": image.generator, "source": image.source, "collection": image.collection}
        return {"path": image.path, "label": label, "score": round(self.score, 4), **more}


def gallery(mistakes: list[Mistake]) -> str:
    """Return the page, complete in itself."""
    figures = "\n".join(_figure(one) for one in mistakes) or "<p>None.</p>"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Worst mistakes</title><style>{STYLE}</style>'
    return f"{head}<h1>Worst mistakes</h1><main>\n{figures}\n</main></html>\n"


def _figure(mistake: Mistake) -> str:
    row = mistake.row()
    words = [
        f"{row['label']}, score {row['score']:+.2f}",
        row["generator"] or row["source"],
        os.path.basename(row["path"]),
    ]
    caption = "<br>".join(html.escape(word) for word in words if word)
    return f"<figure>{_thumbnail(row['path'])}<figcaption>{caption}</figcaption></figure>"


def _thumbnail(path: str) -> str:
    from PIL import Image

    from d2f.reading.image import read_image

    try:
        pixels = read_image(path).pixels
    except D2FError:
        return "<p>no longer readable</p>"
    picture, buffer = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(buffer, "JPEG", quality=85)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
