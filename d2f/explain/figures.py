"""Drawings of a report: the scale with its thresholds, contributions as bars that add up, a map over the picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from d2f.api.rows import VERDICT_WORDS
from d2f.chain.words import factor, looks_at, percent, stage_titles
from d2f.explain.map import HeatMap

if TYPE_CHECKING:
    from d2f.api.inputs import Pixels
    from d2f.api.rows import Row
    from d2f.chain.chain import Chain

WIDTH = 640
"""Of the scale's drawing, in its own units."""

START, MIDDLE, END = (f'text-anchor="{anchor}"' for anchor in ("start", "middle", "end"))


def scale(row: Row, chain: Chain) -> str:
    """Return the scale of probability with the chain's thresholds, and where the picture stands on it."""
    rule = chain.file.verdict
    low, high = rule.real_below * WIDTH, rule.generated_above * WIDTH
    zones = (
        (0.0, low, "real", VERDICT_WORDS["real"], f'x="0" {START}'),
        (low, high, "between", "inconclusive", f'x="{(low + high) / 2:.1f}" {MIDDLE}'),
        (high, WIDTH, "made", VERDICT_WORDS["generated"], f'x="{WIDTH}" {END}'),
    )
    parts = []
    for left, right, name, words, place in zones:
        parts.append(f'<rect class="zone {name}" x="{left:.1f}" y="32" width="{right - left:.1f}" height="16"/>')
        parts.append(f'<text {place} y="90">{escape(words)}</text>')
    for at, words in ((low, percent(rule.real_below)), (high, percent(rule.generated_above))):
        parts.append(f'<text x="{at:.1f}" y="67" {MIDDLE}>{words}</text>')
    if row.probability is not None:
        at = row.probability * WIDTH
        parts.append(f'<path class="marker" d="M{at:.1f} 32 l-7 -11 h14 z"/>')
        place = START if at < 60 else END if at > WIDTH - 60 else MIDDLE
        parts.append(f'<text class="here" x="{at:.1f}" y="17" {place}>{percent(row.probability)}</text>')
    words = "not judged" if row.probability is None else percent(row.probability)
    label = f"Scale of the probability of being AI-generated: {words}"
    return (
        f'<svg class="scale" role="img" aria-label="{escape(label)}" viewBox="-8 -4 {WIDTH + 16} 100">'
        f"{''.join(parts)}</svg>"
    )


def contribution_bars(row: Row, chain: Chain) -> list[tuple[str, str, float]]:
    """Return what adds up to the log-odds of the probability: name, what it looks at, nats; empty without one.

    The last but one is what the combination adds by itself (its constant, and the chain's own calibration), so that
    the sum is exact up to rounding.
    """
    if row.llr is None:
        return []
    titles, looks = stage_titles(chain), looks_at(chain)
    found = [
        (
            titles[member.detector] + ("" if member.view == "plain" else f", on the view {member.view}"),
            looks[member.detector],
            member.contribution,
        )
        for member in row.stages
        if member.contribution is not None
    ]
    found.sort(key=lambda one: -abs(one[2]))
    rest = row.llr - sum(nats for _, _, nats in found)
    prior = math.log(chain.prior) - math.log1p(-chain.prior)
    return [
        *found,
        ("combination", "What the combination of the detectors adds by itself: its constant and calibration.", rest),
        ("prior", f"What was expected before looking: {percent(chain.prior)} AI-generated.", prior),
    ]


def bars(row: Row, chain: Chain) -> str:
    """Return the contributions as a table of bars that start where the one above ends; nothing without a ratio."""
    found = contribution_bars(row, chain)
    if not found:
        return ""
    ends = np.cumsum([0.0, *(nats for _, _, nats in found)])
    least, most = min(0.0, ends.min()), max(0.0, ends.max())
    span = max(most - least, 1e-9)
    rows = [
        f"<tr><th>{escape(name)}<small>{escape(looks)}</small></th><td>{_bar(begin, nats, least, span)}</td>"
        f"<td>{escape(factor(nats))}<small>{nats:+.2f} nats</small></td></tr>"
        for (name, looks, nats), begin in zip(found, ends, strict=False)
    ]
    total = float(ends[-1])
    probability = percent(1 / (1 + math.exp(-total)))
    rows.append(
        f'<tr class="total"><th>together</th><td>{_bar(0.0, total, least, span)}</td>'
        f"<td>probability {probability}<small>{total:+.2f} nats</small></td></tr>"
    )
    return f'<table class="bars"><tbody>{"".join(rows)}</tbody></table>'


def _bar(begin: float, nats: float, least: float, span: float) -> str:
    left, width = 100 * (min(begin, begin + nats) - least) / span, 100 * abs(nats) / span
    zero = 100 * -least / span
    name = "made" if nats > 0 else "real"
    filled = f'<i class="{name}" style="left:{left:.2f}%;width:{width:.2f}%"></i>' if width >= 0.2 else ""
    return f'<div class="track"><i class="zero" style="left:{zero:.2f}%"></i>{filled}</div>'


GENERATED, CAMERA, MASKED = (217, 98, 43), (42, 111, 187), (128, 128, 128)
"""Colours of the map, those of the page's two labels and of a masked cell."""


def overlay(found: HeatMap, pixels: Pixels, side: int) -> bytes:
    """Return the picture in grey with the map over it, as a PNG whose longer side is at most `side` pixels."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side))
    grey = np.asarray(picture.convert("L"), dtype=np.float32)[..., None].repeat(3, axis=2)
    height, width = grey.shape[:2]
    rows = np.arange(height) * found.values.shape[0] // height
    columns = np.arange(width) * found.values.shape[1] // width
    strength = np.nan_to_num(found.values / (found.largest or 1.0)).clip(-1, 1)[np.ix_(rows, columns)]
    reliable = found.reliable[np.ix_(rows, columns)]
    colour = np.where(strength[..., None] > 0, np.array(GENERATED), np.array(CAMERA))
    weight = (0.75 * np.abs(strength))[..., None] * reliable[..., None]
    mixed = grey * (1 - weight) + colour * weight
    hatch = ((np.add.outer(np.arange(height), np.arange(width)) // 3) % 3 == 0) & ~reliable
    mixed[hatch] = 0.4 * mixed[hatch] + 0.6 * np.array(MASKED)
    buffer = io.BytesIO()
    Image.fromarray(mixed.clip(0, 255).astype(np.uint8)).quantize(128).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """Return names with their values."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f"<dl>{items}</dl>"
