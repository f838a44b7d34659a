"""The report's page: one section an image, complete in itself; for light and dark screens, phones and paper."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from d2f.chain.words import (
    IGNORE,
    LIMITS,
    LOOK_FOR,
    MAP_MEANINGS,
    MAP_TITLES,
    MASK_WORDS,
    NATS,
    NEXT_STEPS,
    NOT_PRIVATE,
    PRIVATE,
    answer,
    disagreement_words,
    evidence_of,
    legend,
    percent,
    sentence,
    stage_titles,
    strength,
    view_words,
)
from d2f.explain.explain import Explanation, Splice, splice_of
from d2f.explain.figures import bars, definitions, overlay, scale
from d2f.explain.map import KINDS, HeatMap
from d2f.explain.record import identity_of, private_fields, quality_of, scrubbed
from d2f.report.page import document, embedded, figure, small_jpeg
from d2f.report.tables import capitalised
from d2f.version import __version__

if TYPE_CHECKING:
    from d2f.api.rows import Row
    from d2f.chain.chain import Chain

PICTURE_SIDE, VIEW_SIDE = 900, 360
"""Longer side of the picture and of a view in a report, in pixels."""

STYLE = """
body { max-width: 60rem; }
section.image { margin-bottom: 4rem; }
section.image > h2:first-child { border: 0; padding: 0; margin-top: 1rem; }
.verdict { font-size: 1.35rem; margin: .2rem 0; font-weight: 600; }
.verdict.generated { color: var(--made); } .verdict.real { color: var(--real); }
h1, h2, h3, dd, th, li, p { overflow-wrap: anywhere; }
svg.scale { width: 100%; max-width: 44rem; height: auto; display: block; margin: 1rem 0; }
svg.scale text { font-size: 12px; } svg.scale .here { font-size: 15px; font-weight: 600; fill: var(--ink); }
svg .zone { opacity: 1; }
.zone.real { fill: var(--real); } .zone.between { fill: var(--rule); } .zone.made { fill: var(--made); }
.marker { fill: var(--ink); }
table.bars { width: 100%; table-layout: fixed; font-size: .9rem; }
table.bars th, table.bars td { white-space: normal; text-align: left; vertical-align: middle; }
table.bars th { width: 32%; font-weight: 500; } table.bars td:last-child { width: 26%; }
table.bars small { display: block; color: var(--soft); font-weight: 400; }
table.bars .total th, table.bars .total td { border-top: 2px solid var(--ink); font-weight: 600; }
.track { position: relative; height: 1.1rem; }
.track i { position: absolute; top: 0; bottom: 0; } .track .zero { border-left: 1px dashed var(--soft); }
.track .made { background: var(--made); } .track .real { background: var(--real); }
.picture img { max-width: 100%; max-height: 30rem; display: block; background: var(--rule); }
.map { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1.5rem; }
.map { margin-bottom: 2rem; } .map img { width: 100%; height: auto; display: block; } .map h3 { margin-top: 0; }
.views { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr)); gap: 1rem; }
.views img { width: 100%; display: block; } figcaption { max-width: none; }
.mapkey { display: flex; gap: .5rem; align-items: center; font-size: .8rem; color: var(--soft); margin: .3rem 0; }
.mapkey i { flex: 1; min-width: 3rem; height: .6rem;
  background: linear-gradient(90deg, var(--real), transparent, var(--made)); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: .5rem 1.5rem; }
dl div { min-width: 0; } dt { color: var(--soft); font-size: .8rem; } dd { margin: 0; }
ul { padding-left: 1.2rem; } .claim { margin-bottom: .5rem; } .claim small { display: block; color: var(--soft); }
.contents td { text-align: left; white-space: normal; }
@media (max-width: 32rem) {
  body { margin: 1rem auto; } svg.scale text { font-size: 19px; } svg.scale .here { font-size: 24px; }
  table.bars, table.bars tbody, table.bars tr, table.bars th, table.bars td { display: block; width: auto !important; }
  table.bars td { border: 0; padding: .1rem 0; } table.bars th { border: 0; padding: .6rem 0 0; }
  table.bars td:last-child { border-bottom: 1px solid var(--rule); padding-bottom: .5rem; }
}
@media print {
  :root { --ink: #000; --soft: #444; --rule: #ccc; --paper: #fff; --real: #2a6fbb; --made: #c4501b; }
  @page { margin: 16mm; }
  body { margin: 0; max-width: none; font-size: 10.5pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  figure, tr, .claim, li, .bars { break-inside: avoid; } h2, h3, h2 + p.soft { break-after: avoid; }
  section.image + section.image { break-before: page; }
  .picture img { max-height: 80mm; } .map { grid-template-columns: 1fr 1fr; }
  .views { grid-template-columns: repeat(3, 1fr); }
}
"""


def report_page(explanations: Sequence[Explanation]) -> str:
    """Return the page of one image or of several, the most probably generated first."""
    ordered = sorted(explanations, key=lambda one: -(-1.0 if one.row.probability is None else one.row.probability))
    first, verdicts = ordered[0], [sentence(scrubbed(one.row, one.full)) for one in ordered]
    title, body = f"{first.name}: {verdicts[0]}", list[str]()
    if len(ordered) > 1:
        title = f"{len(ordered)} images judged by d2f"
        rows = "".join(
            f'<tr><td><a href="#image-{number}">{escape(one.name)}</a></td><td>{escape(verdict)}</td></tr>'
            for number, (one, verdict) in enumerate(zip(ordered, verdicts, strict=True), 1)
        )
        contents = f'<div class="wide"><table class="contents"><tbody>{rows}</tbody></table></div>'
        body = [f"<h1>{escape(title)}</h1>", contents]
    for number, one in enumerate(ordered, 1):
        body += section(one, number, "h1" if len(ordered) == 1 else "h2")
    body += footer(first.chain, first.full)
    return document(title, body, STYLE)


def section(one: Explanation, number: int, mark: str, picture: str = "") -> Iterator[str]:
    """Yield the parts of one image's section; `picture`: HTML in place of the explanation's own."""
    row, chain = scrubbed(one.row, one.full), one.chain
    yield f'<section class="image" id="image-{number}"><{mark}>{escape(one.name)}</{mark}>'
    yield f'<p class="verdict {row.verdict or ""}">{escape(capitalised(sentence(row)))}</p>'
    if row.llr is not None and row.error is None:
        yield f"<p>The pixels give {escape(strength(row.llr))}.</p>"
    if row.probability is not None:
        yield scale(row, chain)
        rates = [f"{capitalised(line)}." for line in list(legend(chain))[1:-2]]
        yield f"<p class=soft>{escape(' '.join([*rates, evidence_of(chain)]))}</p>"
    notes = [note.message for note in row.notes] + [f"{lost.detector}: {lost.reason}" for lost in row.missing]
    if notes:
        yield f"<h3>Caveats of this result</h3>{_bullets(notes)}"
    if one.image is not None:
        picture = embedded(small_jpeg(one.image.pixels, PICTURE_SIDE, 80), "the picture")
    if picture:
        yield f'<figure class="picture">{picture}</figure>'
    if table := bars(row, chain):
        yield "<h2>Why</h2>"
        yield "<p class=soft>Each bar begins where the one above ends; together they give the probability.</p>"
        yield table
    yield from _without_score(row, chain)
    if disagreements := list(disagreement_words(row, chain)):
        yield f"<h2>Disagreements</h2>{_bullets(disagreements)}"
    yield from _provenance(row)
    yield f"<h2>What next</h2>{_bullets(NEXT_STEPS[row.verdict or 'inconclusive'])}"
    yield from _where(one)
    yield from _views(one)
    yield "<h2>The picture</h2>" + definitions(quality_of(one))
    yield "<h2>To repeat this</h2>" + definitions(identity_of(one))
    if one.full and (fields := private_fields(one)):
        yield "<h2>Fields of the file (--full)</h2>" + definitions(fields)
    yield "</section>"


def _where(one: Explanation) -> Iterator[str]:
    """Yield the heat maps, or why there is none."""
    if one.image is None or one.row.probability is None:
        return
    yield "<h2>Where in the picture</h2>"
    for found in one.maps:
        drawn = embedded(overlay(found, one.image.pixels, PICTURE_SIDE), "heat map", "png")
        end = f"{found.largest:.1f} nats"
        key = f'<p class="mapkey"><span>camera image, {end}</span><i></i><span>AI-generated, {end}</span></p>'
        yield f'<div class="map"><figure>{drawn}{key}</figure><div>'
        yield f"<h3>{MAP_TITLES[found.kind]}</h3>{_bullets(map_lines(one.chain, found))}"
        yield "</div></div>"
    if not one.maps:
        yield f"<p>{escape(no_map(one.chain))}</p>"


def map_lines(chain: Chain, found: HeatMap) -> list[str]:
    """Return what a map shows, how far it helps, what to look for and what to ignore."""
    masked = ", ".join(f"{MASK_WORDS[name]} {percent(share)}" for name, share in found.masked.items() if share)
    measured = splice_of(chain, found.kind)
    unknown = "Whether this map finds generated parts was not measured for this chain."
    return [
        f"{MAP_MEANINGS[found.kind]} Tiles are {found.side} pixels a side and overlap.",
        unknown if measured is None else splice_words(measured),
        f"Look for: {LOOK_FOR[found.kind]}",
        f"Ignore: {IGNORE[found.kind]}",
        f"Orange speaks for AI-generated, blue for a camera image; both are scaled to this map's own maximum, "
        f"{found.largest:.1f} nats. Hatched, not to be relied on: {masked or 'nothing'}.",
    ]


def splice_words(measured: Splice) -> str:
    """Return how far a map helps, as it was measured."""
    words = f'"{MAP_TITLES[measured.kind]}": on'
    found = (
        f"{words} {measured.images} photographs with a generated patch, the map was higher inside the patch in "
        f"{percent(measured.share)} (95 %: {percent(measured.low)} to {percent(measured.high)}; by chance 50 %)"
    )
    if measured.control is not None:
        found += f", with a patch of another photograph in {percent(measured.control)}"
    if measured.helps:
        return f"{found}: it helps to find generated parts."
    if measured.low > 0.5:
        return f"{found}: it finds parts that were pasted or saved otherwise, generated or not."
    return f"{found}: it does not beat chance."


def no_map(chain: Chain, how: str = " To measure them all the same: d2f explain --map both.") -> str:
    """Return why a report has no map, and `how` to have one where none is known to help."""
    measured = [splice_of(chain, kind) for kind in KINDS]
    if all(found is not None and not found.helps for found in measured):
        words = " ".join(splice_words(found) for found in measured if found)
        return (
            f"No map is shown: none of this chain's maps was found to help with finding generated parts. {words}{how}"
        )
    if not any(measured):
        return f"No map is shown: whether this chain's maps help was not measured.{how}"
    return "No map was asked for, or the picture is too small for one."


def _without_score(row: Row, chain: Chain) -> Iterator[str]:
    titles = stage_titles(chain)
    gone = [
        f"{titles[member.detector]}: {member.abstained or (member.error and member.error.message)}"
        for member in row.stages
        if member.abstained or member.error
    ]
    if gone:
        yield f"<h2>Detectors that gave no answer</h2>{_bullets(list(dict.fromkeys(gone)))}"


def _provenance(row: Row) -> Iterator[str]:
    yield "<h2>What the file states about itself</h2>"
    if not row.evidence:
        yield "<p>No label and no Content Credentials were found. That says nothing either way.</p>"
    for found in row.evidence:
        raw = f"<small>{escape(found.raw)}</small>" if found.raw else ""
        yield (
            f'<p class="claim">{escape(found.statement)}<small>{escape(found.trust)}; read from '
            f"{escape(found.source)}</small>{raw}</p>"
        )
    if row.probability_with_provenance is not None:
        yield (
            f"<p>With what the file states, by declared likelihood ratios, the probability of being AI-generated is "
            f"<b>{percent(row.probability_with_provenance)}</b>. The verdict above is that of the pixels alone.</p>"
        )


def _views(one: Explanation) -> Iterator[str]:
    """Yield each view side by side with the answers of the detectors that look at it."""
    if one.image is None or not any(member.probability is not None for member in one.row.stages):
        return
    titles = stage_titles(one.chain)
    figures = []
    for view, pixels in one.views().items():
        told = [
            f"{titles[member.detector]}: {answer(member.probability, one.chain)}, {percent(member.probability)}"
            for member in one.row.stages
            if member.view == view and member.probability is not None
        ]
        caption = f"<b>{escape(view_words(one.chain, view))}</b>{_bullets(told)}"
        figures.append(figure(embedded(small_jpeg(pixels, VIEW_SIDE), view), caption))
    yield "<h2>What each detector answers, by view</h2>"
    yield f'<div class="views">{"".join(figures)}</div>'


def footer(chain: Chain, full: bool) -> Iterator[str]:
    """Yield what holds for the whole report."""
    lines = list(legend(chain))
    yield "<h2>How to read this</h2>" + _bullets(
        [f"{line}." for line in lines[:-2] or lines] + [evidence_of(chain), NATS]
    )
    yield f"<h2>Limits</h2>{_bullets(LIMITS)}"
    facts = [("Name", chain.name), ("What it is", chain.file.description or "not described")]
    facts += [("Digest", chain.digest), ("Prior", percent(chain.prior))]
    yield f"<h2>The chain</h2>{definitions(facts)}"
    today = datetime.date.today().isoformat()
    yield f"<p class=soft>{escape(NOT_PRIVATE if full else PRIVATE)} Made by d2f {__version__} on {today}.</p>"


def _bullets(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(capitalised(line))}</li>' for line in lines)}</ul>" if lines else ""
