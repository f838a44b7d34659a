"""Square charts as SVG: lines, dots and bars over the unit square. Colours are of the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

SIDE, MARGIN, GAP = 220, 40, 14
"""Side of the drawing area; room for labels at the left and bottom, and at the top and right; in pixels."""

Point = Sequence[float]


def x(value: float) -> float:
    """Return the horizontal pixel of a value in [0, 1]."""
    return round(MARGIN + SIDE * value, 1)


def y(value: float) -> float:
    """Return the vertical pixel of a value in [0, 1]."""
    return round(GAP + SIDE * (1 - value), 1)


def chart(title: str, across: str, up: str, inside: Sequence[str], top: str = "1") -> str:
    """Return a square chart; `top` is what the upper end of the vertical axis is called."""
    width, height = MARGIN + SIDE + GAP, GAP + SIDE + MARGIN
    grid = [
        f'<line class="grid" x1="{x(at)}" y1="{y(0)}" x2="{x(at)}" y2="{y(1)}"/>'
        f'<line class="grid" x1="{x(0)}" y1="{y(at)}" x2="{x(1)}" y2="{y(at)}"/>'
        for at in (0, 0.25, 0.5, 0.75, 1)
    ]
    ticks = [
        text(x(0), y(0) + 14, "0", "middle"),
        text(x(1), y(0) + 14, "1", "middle"),
        text(x(0) - 5, y(1) + 4, top, "end"),
        text(x(0.5), y(0) + 30, across, "middle"),
        f'<text transform="translate(12 {y(0.5)}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]
    parts = "".join([f"<title>{escape(title)}</title>", *grid, *ticks, *inside])
    return f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">{parts}</svg>'


def text(left: float, top: float, words: str, anchor: str = "start") -> str:
    """Return a text."""
    return f'<text x="{left}" y="{top}" text-anchor="{anchor}">{escape(words)}</text>'


def line(points: Sequence[Point], name: str, title: str = "") -> str:
    """Return a line through points in [0, 1]², of CSS class `name`."""
    path = " ".join(f"{x(point[0])},{y(point[1])}" for point in points)
    return f'<polyline class="{name}" points="{path}">{_title(title)}</polyline>'


def dot(point: Point, radius: float, name: str, title: str) -> str:
    """Return a dot with a text that shows when it is pointed at."""
    return f'<circle class="{name}" cx="{x(point[0])}" cy="{y(point[1])}" r="{radius:.1f}">{_title(title)}</circle>'


def bar(left: float, right: float, height: float, name: str, title: str) -> str:
    """Return a bar from the horizontal axis up."""
    wide, high = round(x(right) - x(left), 1), round(SIDE * min(1.0, height), 1)
    at = f'x="{x(left)}" y="{round(y(0) - high, 1)}" width="{wide}" height="{high}"'
    return f'<rect class="{name}" {at}>{_title(title)}</rect>'


def _title(words: str) -> str:
    return f"<title>{escape(words)}</title>" if words else ""


DIAGONAL = line([(0, 0), (1, 1)], "even")
