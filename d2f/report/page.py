"""An HTML page that is complete in itself: style, no script, nothing fetched, small copies of images inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from d2f.api.rows import encodable

if TYPE_CHECKING:
    from d2f.api.inputs import Pixels

STYLE = """
:root { --ink: #1b1f24; --soft: #5b6570; --rule: #d8dde3; --paper: #fff;
  --real: #2a6fbb; --made: #d9622b; --heat-ink: #14508f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --soft: #9aa5b1; --rule: #39414a; --paper: #14181c;
    --real: #62a5ea; --made: #f08a54; --heat-ink: #4f97e3; }
}
* { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid var(--rule); padding-top: 1rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p.soft, li.soft, figcaption, caption { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .86rem; }
th, td { padding: .18rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 500; }
.heat td { background: color-mix(in srgb, var(--heat-ink) calc(var(--heat) * 100%), var(--paper)); text-align: center; }
.heat td.dark { color: var(--paper); }
.heat th.turned { vertical-align: bottom; padding: 0 .4rem; }
.heat th.turned span { writing-mode: vertical-rl; transform: rotate(180deg); }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } figcaption { font-size: .82rem; max-width: 17rem; }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
svg .grid { stroke: var(--rule); stroke-width: 1; }
svg .even { stroke: var(--soft); stroke-dasharray: 3 3; fill: none; }
svg .clean { stroke: var(--real); stroke-width: 2.4; fill: none; }
svg .attacked { stroke: var(--made); stroke-width: 1; fill: none; opacity: .75; }
svg .bin { fill: var(--real); opacity: .65; }
svg .real { fill: var(--real); opacity: .55; } svg .generated { fill: var(--made); opacity: .55; }
.key::before { content: "■ "; } .key.real { color: var(--real); } .key.generated { color: var(--made); }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 1.5rem; }
.gallery img { max-width: 100%; } .gallery figcaption { overflow-wrap: anywhere; }
.changed td, .changed th { text-align: left; white-space: normal; vertical-align: top; }
.changed td:first-child { overflow-wrap: anywhere; }
.changed img { display: block; max-width: 96px; max-height: 96px; }
"""


def document(title: str, body: Iterable[str], more_style: str = "") -> str:
    """Return a page of parts of HTML, as UTF-8 can hold it."""
    return encodable(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{more_style}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def figure(drawing: str, caption: str) -> str:
    """Return a drawing or an image with its caption, both HTML."""
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>"


def gallery(title: str, introduction: str, figures: Sequence[str]) -> str:
    """Return a page of figures side by side; `introduction` is HTML."""
    shown = figures or ["<p>None.</p>"]
    body = [f"<h1>{escape(title)}</h1>", f"<p>{introduction}</p>" if introduction else "", '<main class="gallery">']
    return document(title, [*body, *shown, "</main>"])


def listed(lines: Sequence[str]) -> str:
    """Return lines of text as a list; nothing where there are none."""
    return f"<ul>{''.join(f'<li class=soft>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def small_jpeg(pixels: Pixels, side: int, quality: int = 70) -> bytes:
    """Return pixels as a JPEG whose longer side is at most `side` pixels."""
    from PIL import Image

    small, buffer = Image.fromarray(pixels), io.BytesIO()
    small.thumbnail((side, side))
    small.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def thumbnail(path: str, side: int, quality: int = 70) -> bytes | None:
    """Return a JPEG whose longer side is at most `side` pixels; None where the image cannot be read."""
    from d2f.api.inputs import ImageFile
    from d2f.images.read import load_image

    image = load_image(path)
    return small_jpeg(image.pixels, side, quality) if isinstance(image, ImageFile) else None


def inline(path: str, side: int, quality: int = 70, otherwise: str = "") -> str:
    """Return an ``<img>`` that holds the thumbnail, or other HTML where the image cannot be read."""
    data = thumbnail(path, side, quality)
    return otherwise if data is None else embedded(data)


def embedded(data: bytes, words: str = "", kind: str = "jpeg") -> str:
    """Return an ``<img>`` that holds a file's bytes; `words` describe it to those who do not see it."""
    return f'<img alt="{escape(words)}" src="{data_address(data, kind)}">'


def data_address(data: bytes, kind: str) -> str:
    """Return the address that holds an image file's bytes itself."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
