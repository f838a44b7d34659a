"""How the chains' log-odds lie, clean and filtered, drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from plain_svg import write_svg

from d2f.api.inputs import Floats, Labels
from d2f.engine.plan import Decision
from wiener_finding.benched import COPIES, Judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 30
KINDS = (("photographs", "#2a6fbb"), ("generated", "#d9622b"))


def draw(judged: Sequence[Judged], labels: Labels, path: Path) -> None:
    """Write an SVG: a row a chain, a column a copy, thresholds dashed; it needs matplotlib."""
    write_svg(lambda: drawn(judged, labels), path)


def drawn(judged: Sequence[Judged], labels: Labels) -> Figure:
    """Return the panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 0.7 + 1.6 * len(judged)), layout="constrained")
    axes = figure.subplots(len(judged), len(COPIES), squeeze=False, sharex="row", sharey="row")
    for row, one in zip(axes, judged, strict=True):
        edges = _edges(one.whole.values)
        for copy, axis in enumerate(row):
            _panel(axis, one.whole.values, copy, labels, edges)
            _thresholds(axis, one.chain.plan.decision)
        row[0].set_ylabel(f"{one.name}\nshare of a kind")
    for name, axis in zip(COPIES, axes[0], strict=True):
        axis.set_title(name, fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("log-odds of generated, nats")
    figure.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside upper right", ncols=4, frameon=False)
    return figure


def _edges(values: Floats) -> Floats:
    """Bins from the smallest to the greatest value of all copies, the outermost half per cent in the end bins."""
    held = values[np.isfinite(values)]
    low, high = np.quantile(held, (0.005, 0.995)) if held.size else (-1.0, 1.0)
    middle, half = (low + high) / 2, max((high - low) / 2, 1e-3)
    edges: Floats = np.linspace(middle - 1.02 * half, middle + 1.02 * half, BINS + 1)
    return edges


def _panel(axis: Any, values: Floats, copy: int, labels: Labels, edges: Floats) -> None:
    """Draw a copy's histograms filled, and over a filtered one the clean one's outlines."""
    for label, (kind, colour) in enumerate(KINDS):
        shares = [_shares(values[labels == label, one], edges) for one in (0, copy)]
        axis.stairs(shares[1], edges, fill=True, alpha=0.45, color=colour, label=kind)
        if copy:
            axis.stairs(shares[0], edges, color=colour, linewidth=0.9, label=f"{kind}, clean")
    axis.set_yticks([])
    axis.spines[["top", "right", "left"]].set_visible(False)


def _shares(values: Floats, edges: Floats) -> Floats:
    held = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
    shares: Floats = np.histogram(held, edges)[0] / max(1, len(values))
    return shares


def _thresholds(axis: Any, decision: Decision | None) -> None:
    assert decision is not None
    prior = math.log(decision.prior) - math.log1p(-decision.prior)
    left, right = axis.get_xlim()
    for probability in (decision.real_below, decision.generated_above):
        if 0 < probability < 1:
            at = math.log(probability) - math.log1p(-probability) - prior
            axis.axvline(at, color="#5b6570", linestyle=(0, (3, 3)), linewidth=0.8)
    axis.set_xlim(left, right)
