"""Figures of the docs as SVG: the same numbers give the same file, and its text stays text."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLAIN: Any = {"svg.hashsalt": "d2f", "svg.fonttype": "none", "font.size": 8, "font.family": "sans-serif"}


def write_svg(drawn: Callable[[], Figure], path: Path) -> None:
    """Draw a figure and write it; it needs matplotlib."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    written = StringIO()
    with rc_context(PLAIN):
        figure = drawn()
        FigureCanvasSVG(figure)
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": "d2f"})
    # Hundredths of a point are enough for the eye, and half of the file.
    lines = (line.rstrip() for line in re.sub(r"(\d\.\d\d)\d+", r"\1", written.getvalue()).splitlines())
    path.write_text("\n".join(lines) + "\n", "utf-8")
